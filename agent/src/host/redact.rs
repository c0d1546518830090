//! Takes secrets out of a stream of output, wherever it is cut into pieces. Bytes are held back only while they may be the
//! begin of a secret, so that what has none in it is seen at once. Deliberately no IO, and only the very bytes of a
//! secret: one that a program writes in another form (encoded, a line at a time) is not known again.

/// A secret in the clear and the words that stand for it.
struct Secret {
    value: Vec<u8>,
    mark: Vec<u8>,
}

/// Shorter ones would be found in everything, and what is left of them at the very end of an output says nothing.
pub(super) const SECRET_BYTES_MIN: usize = 4;

/// The stream.
pub(super) struct Redactor {
    /// The longest first, so that a secret within a longer one is taken out with it.
    secrets: Vec<Secret>,
    /// Whether a secret begins with this byte.
    begins: [bool; 256],
    held: Vec<u8>,
}

/// What stands at the begin of some bytes.
enum Found<'a> {
    Nothing,
    /// Of so many bytes.
    Secret(usize, &'a Secret),
    /// What is there is the begin of this secret, and there is no more of it yet.
    Begin(&'a Secret),
}

impl Redactor {
    /// For these secrets, by name; none shorter than [`SECRET_BYTES_MIN`].
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Self {
        let mut secrets: Vec<Secret> = secrets
            .into_iter()
            .map(|(name, value)| Secret {
                value,
                mark: format!("[secret {name}]").into_bytes(),
            })
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.value.len()));
        let mut begins = [false; 256];
        for first in secrets.iter().filter_map(|secret| secret.value.first()) {
            begins[usize::from(*first)] = true;
        }
        Self {
            secrets,
            begins,
            held: Vec::new(),
        }
    }

    /// What may be shown after these bytes have come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (mut shown, mut at) = (Vec::with_capacity(all.len()), 0);
        while at < all.len() {
            match self.look(&all[at..]) {
                Found::Nothing => {
                    shown.push(all[at]);
                    at += 1;
                }
                Found::Secret(length, secret) => {
                    shown.extend_from_slice(&secret.mark);
                    at += length;
                }
                Found::Begin(_) => break,
            }
        }
        self.held = all.split_off(at);
        shown
    }

    /// What is left when nothing more comes. The begin of a secret that was cut off is as much of it as could leak.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        let (mut shown, mut at) = (Vec::new(), 0);
        while at < rest.len() {
            let left = &rest[at..];
            match self.look(left) {
                Found::Secret(length, secret) => {
                    shown.extend_from_slice(&secret.mark);
                    at += length;
                }
                Found::Begin(secret) if left.len() >= SECRET_BYTES_MIN => {
                    shown.extend_from_slice(&secret.mark);
                    at = rest.len();
                }
                Found::Begin(_) | Found::Nothing => {
                    shown.push(rest[at]);
                    at += 1;
                }
            }
        }
        shown
    }

    fn look(&self, bytes: &[u8]) -> Found<'_> {
        if !self.begins[usize::from(bytes[0])] {
            return Found::Nothing;
        }
        for secret in &self.secrets {
            if bytes.starts_with(&secret.value) {
                return Found::Secret(secret.value.len(), secret);
            }
            // A longer one may yet come whole, and then the shorter one in it is part of it.
            if secret.value.starts_with(bytes) {
                return Found::Begin(secret);
            }
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[(&'static str, &str)]) -> Redactor {
        let secrets = secrets.iter().map(|(name, value)| (*name, value.as_bytes().to_vec()));
        Redactor::new(secrets.collect::<Vec<_>>())
    }

    fn in_pieces(secrets: &[(&'static str, &str)], text: &str, bytes: usize) -> String {
        let mut redactor = redactor(secrets);
        let mut shown = Vec::new();
        for piece in text.as_bytes().chunks(bytes) {
            shown.extend(redactor.feed(piece));
        }
        shown.extend(redactor.finish());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_secret_is_taken_out_however_the_stream_is_cut() {
        let secrets = [("db", "hunter22"), ("longer", "hunter22-and-more"), ("twice", "abab")];
        let text = "hunter22 hunter22-and-more, hunter22-and, hunhunter22; ababab abababab hunter2";
        let wanted = "[secret db] [secret longer], [secret db]-and, hun[secret db]; [secret twice]ab \
                      [secret twice][secret twice] [secret longer]";
        for bytes in 1..=text.len() {
            assert_eq!(in_pieces(&secrets, text, bytes), wanted, "in pieces of {bytes}");
        }
    }

    #[test]
    fn what_is_no_begin_of_a_secret_is_shown_at_once_and_what_is_one_is_held() {
        let mut redactor = redactor(&[("db", "hunter22")]);
        assert_eq!(redactor.feed(b"a line\nhunt"), b"a line\n");
        assert_eq!(redactor.feed(b"ing\n"), b"hunting\n");
        assert_eq!(redactor.feed(b"hun"), b"");
        assert_eq!(redactor.finish(), b"hun", "too little to be one");
    }
}
