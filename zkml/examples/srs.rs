//! Reads a ceremony's reference string, checks it, and writes the part that circuits need in this project's own form.
//!
//! `cargo run --example srs -- FILE K [OUT [SHA256]]`

use std::{env, error::Error, path::Path};

use hygeia_zkml::{Srs, engine::native::SrsProgress};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (Some(file), Some(k)) = (args.first(), args.get(1)) else {
        return Err("usage: srs FILE K [OUT [SHA256]]".into());
    };
    let mut expected = [0; 32];
    if let Some(hash) = args.get(3) {
        hex::decode_to_slice(hash, &mut expected)?;
    }
    let mut percent = 0;
    let mut tell = |progress| match progress {
        SrsProgress::Reading { bytes, of } => {
            let now = bytes * 100 / of.max(1);
            if now / 10 > percent / 10 {
                println!("read {now} %");
            }
            percent = now;
        }
        SrsProgress::Lagrange => println!("computing the Lagrange form"),
        SrsProgress::Checking => println!("checking the structure"),
    };
    let srs = Srs::open(Path::new(file), args.get(3).map(|_| expected), k.parse()?, &mut tell)?;
    let origin = srs.origin().ok_or("an opened string has an origin")?;
    println!("{:?} of 2^{} powers, SHA-256 {}", origin.form, origin.k, hex::encode(origin.sha256));
    println!("string of 2^{} powers, digest {}", srs.k(), hex::encode(srs.digest()));
    if srs.is_development() {
        println!("INSECURE: its secret is public");
    }
    if let Some(out) = args.get(2) {
        srs.write(Path::new(out))?;
    }
    Ok(())
}
