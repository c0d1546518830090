//! Who a certificate names: the only place that reads one. That it was signed by this coordinator's authority is
//! checked before, by the TLS handshake.

use echelon_proto::{HostId, Person, Time};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{Error, Role};

pub(super) const HOST: &str = "echelon://host/";
pub(super) const PERSON: &str = "echelon://person/";
pub(super) const ROLE: &str = "echelon://role/";

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An agent, which may speak of its own host only.
    Host(HostId),
    /// A person or a job of theirs.
    Person {
        /// Who.
        name: Person,
        /// What they may do.
        role: Role,
    },
}

/// What a peer's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whom it names.
    pub identity: Identity,
    /// From then on it is worth nothing.
    pub not_after: Time,
}

impl Peer {
    /// Reads a certificate (DER). It must name exactly one host, or exactly one person with one role.
    ///
    /// # Errors
    /// [`Error::Nobody`].
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| nobody(&error.to_string()))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| nobody(&error.to_string()))?
            .ok_or_else(|| nobody("it has no alternative name"))?;
        let uris: Vec<&str> = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
            .collect();
        let seconds = certificate.validity().not_after.timestamp();
        Ok(Self {
            identity: identity(&uris)?,
            not_after: Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)),
        })
    }
}

fn identity(uris: &[&str]) -> Result<Identity, Error> {
    let invalid = |error: echelon_proto::id::Invalid| nobody(&error.to_string());
    let host = one(uris, HOST)?;
    let person = one(uris, PERSON)?;
    let role = one(uris, ROLE)?;
    match (host, person, role) {
        (Some(host), None, None) => Ok(Identity::Host(HostId::new(host).map_err(invalid)?)),
        (None, Some(person), Some(role)) => Ok(Identity::Person {
            name: Person::new(person).map_err(invalid)?,
            role: role
                .parse()
                .map_err(|error: super::UnknownRole| nobody(&error.to_string()))?,
        }),
        _ => Err(nobody("it must name one host, or one person and one role")),
    }
}

fn one<'a>(uris: &[&'a str], prefix: &str) -> Result<Option<&'a str>, Error> {
    let mut named = uris.iter().filter_map(|uri| uri.strip_prefix(prefix));
    let first = named.next();
    if named.next().is_some() {
        return Err(nobody(&format!("it has more than one {prefix}")));
    }
    Ok(first)
}

fn nobody(why: &str) -> Error {
    Error::Nobody { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_one_host_or_one_person_with_one_role() {
        assert_eq!(
            identity(&["echelon://host/web-1", "https://elsewhere/"]).unwrap(),
            Identity::Host(HostId::new("web-1").unwrap())
        );
        assert_eq!(
            identity(&["echelon://role/approver", "echelon://person/alice"]).unwrap(),
            Identity::Person {
                name: Person::new("alice").unwrap(),
                role: Role::Approver
            }
        );
        for uris in [
            &[][..],
            &["echelon://host/"],
            &["echelon://host/../x"],
            &["echelon://host/a", "echelon://host/b"],
            &["echelon://host/a", "echelon://person/b", "echelon://role/admin"],
            &["echelon://host/a", "echelon://role/admin"],
            &["echelon://person/b"],
            &["echelon://role/admin"],
            &["echelon://person/b", "echelon://role/root"],
            &["echelon://person/b", "echelon://role/viewer", "echelon://role/admin"],
        ] {
            assert!(identity(uris).is_err(), "{uris:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        assert!(matches!(Peer::read(b"not a certificate"), Err(Error::Nobody { .. })));
    }
}
