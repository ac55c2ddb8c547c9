//! Small wards through many seeds: nothing is found where nothing is planted, and what is planted is found.

mod bugs;
mod replicas;
mod seeds;
