//! Changes to a file that is too large to be an input itself: the input is the list of changes.

/// Bytes of one change: what to do, where, and with what.
const CHANGE_BYTES: usize = 9;
/// Set in a change's first byte: the place is one of those given, and not a byte of the file.
const AT_GIVEN_PLACE: u8 = 0x80;
/// Most changes of one input.
const CHANGES_MAX: usize = 8;

/// The file with the changes of an input. `places` are offsets at which sizes stand.
pub fn patched(file: &[u8], places: &[usize], input: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for change in input.chunks_exact(CHANGE_BYTES).take(CHANGES_MAX) {
        let place = u32::from_le_bytes([change[1], change[2], change[3], change[4]]) as usize;
        let place = if change[0] & AT_GIVEN_PLACE == 0 { place } else { places[place % places.len()] };
        let at = place.min(file.len());
        match change[0] % 4 {
            0 => file.truncate(at),
            1 => file.extend_from_slice(&change[5..]),
            2 => drop(file.splice(at..at, change[5..].iter().copied())),
            _ => file[at..].iter_mut().zip(&change[5..]).for_each(|(to, from)| *to = *from),
        }
    }
    file
}
