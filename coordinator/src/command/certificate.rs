//! `echelon-coordinator certificate issue`: a certificate for a person or a CI job, made beside the running
//! coordinator, which need not know of it. Whoever may read the authority's key may do this; nobody else.

use std::{fs, io::Write, os::unix::fs::DirBuilderExt as _, path::PathBuf};

use clap::{Args, Subcommand};
use echelon_proto::{Person, Span};

use super::{Error, now};
use crate::{
    config::{self, DATA},
    pki::{self, Authority, Role, write_private},
};

const TTL_MIN: Span = Span::secs(60);
const TTL_MAX: Span = Span::secs(366 * 24 * 3600);

/// Certificates of people
#[derive(Debug, Clone, Subcommand)]
pub enum Certificate {
    /// Makes a key and a certificate with a role
    Issue(Issue),
}

/// Makes a key and a certificate with a role
#[derive(Debug, Clone, Args)]
pub struct Issue {
    /// Folder of journal, certificates and output
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    pub data: PathBuf,
    /// Who it is for: a person or a job
    #[arg(long, value_name = "PERSON")]
    pub name: Person,
    /// viewer, deployer, approver or admin
    #[arg(long)]
    pub role: Role,
    /// How long it is good for; there is no taking it back before
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub ttl: Span,
    /// Folder to put PERSON.pem, PERSON.key and ca.pem in; made where there is none
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
}

impl Certificate {
    /// Does it, and writes to `out` what there is now.
    ///
    /// # Errors
    /// See [`Issue::run`].
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        match self {
            Self::Issue(issue) => issue.run(out),
        }
    }
}

impl Issue {
    /// Does it, and writes to `out` what there is now.
    ///
    /// # Errors
    /// [`Error::Ttl`], or [`Error::Pki`]: no authority, or a file of that name is there (it is left alone).
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        if !(TTL_MIN..=TTL_MAX).contains(&self.ttl) {
            return Err(Error::Ttl { given: self.ttl });
        }
        let authority = Authority::open(&config::pki(&self.data))?;
        let now = now();
        let issued = authority.issue_person(&self.name, self.role, self.ttl, now)?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.out);
        made.map_err(|source| pki::Error::Io {
            doing: "make the folder",
            path: self.out.clone(),
            source,
        })?;
        let key = self.out.join(format!("{}.key", self.name));
        let certificate = self.out.join(format!("{}.pem", self.name));
        write_private(&key, &issued.key_pem)?;
        if let Err(error) = write_private(&certificate, &issued.cert_pem) {
            // The key alone is of no use, and would stand in the way of the next try.
            let _ = fs::remove_file(&key);
            return Err(error.into());
        }
        let ca = self.out.join("ca.pem");
        if fs::read_to_string(&ca).ok().as_deref() != Some(authority.ca_pem()) {
            write_private(&ca, authority.ca_pem())?;
        }
        writeln!(out, "{} ({}) until {}:", self.name, self.role, now + self.ttl)?;
        for path in [certificate, key, ca] {
            writeln!(out, "  {}", path.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    use tempfile::TempDir;

    use super::*;
    use crate::pki::{Identity, Peer};

    fn issue(folder: &TempDir, name: &str) -> Issue {
        Issue {
            data: folder.path().join("data"),
            name: Person::new(name).unwrap(),
            role: Role::Approver,
            ttl: Span::secs(3600),
            out: folder.path().join("out"),
        }
    }

    fn init(folder: &TempDir) {
        let pki = config::pki(&folder.path().join("data"));
        Authority::init(&pki, &[], &Person::new("root").unwrap(), now()).unwrap();
    }

    #[test]
    fn a_certificate_bears_the_name_and_role_it_was_issued_for() {
        let folder = TempDir::new().unwrap();
        init(&folder);
        for name in ["bob", "ci"] {
            let mut out = Vec::new();
            Certificate::Issue(issue(&folder, name)).run(&mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(out.starts_with(&format!("{name} (approver) until 2")), "{out}");
            let der = CertificateDer::from_pem_file(folder.path().join(format!("out/{name}.pem"))).unwrap();
            let name = Person::new(name).unwrap();
            let role = Role::Approver;
            assert_eq!(Peer::read(&der).unwrap().identity, Identity::Person { name, role });
        }
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 5);
    }

    #[test]
    fn a_key_that_is_there_is_never_overwritten() {
        let folder = TempDir::new().unwrap();
        init(&folder);
        let bob = issue(&folder, "bob");
        bob.run(&mut Vec::new()).unwrap();
        let key = folder.path().join("out/bob.key");
        let before = fs::read_to_string(&key).unwrap();
        assert!(bob.run(&mut Vec::new()).unwrap_err().to_string().contains("bob.key"));
        assert_eq!(fs::read_to_string(&key).unwrap(), before);
        fs::remove_file(&key).unwrap();
        assert!(bob.run(&mut Vec::new()).unwrap_err().to_string().contains("bob.pem"));
        assert!(!key.exists(), "no key without its certificate");
    }

    #[test]
    fn without_an_authority_or_with_an_endless_life_nothing_is_made() {
        let folder = TempDir::new().unwrap();
        let bob = issue(&folder, "bob");
        let error = bob.run(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("echelon-coordinator init"), "{error}");
        init(&folder);
        for ttl in [Span::ZERO, Span::secs(400 * 24 * 3600)] {
            let error = Issue { ttl, ..bob.clone() }.run(&mut Vec::new()).unwrap_err();
            assert!(matches!(error, Error::Ttl { .. }), "{error}");
        }
        assert!(!folder.path().join("out").exists());
    }
}
