//! `echelon-coordinator init`: makes the certificate authority. It starts nothing and never touches one that is there.

use std::{io::Write, path::PathBuf};

use clap::Args;
use echelon_proto::Person;

use super::{Error, now};
use crate::{
    config::{self, DATA},
    pki::Authority,
};

/// Makes the certificate authority, the server's certificate and the first admin's
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// Folder of journal, certificates and output
    #[arg(long, value_name = "FOLDER", default_value = DATA)]
    pub data: PathBuf,
    /// Another name or address under which agents and people reach this coordinator, besides localhost, 127.0.0.1 and
    /// echelon-coordinator; may be given more than once
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Who gets the first admin's certificate
    #[arg(long, value_name = "PERSON", default_value = "admin")]
    pub admin: Person,
}

impl Init {
    /// Does it, and writes to `out` what there is now.
    ///
    /// # Errors
    /// [`Error::Pki`]: nothing was made then.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let folder = config::pki(&self.data);
        Authority::init(&folder, &self.names, &self.admin, now())?;
        let shown = folder.display();
        writeln!(
            out,
            "certificate authority    {shown}/ca.pem (agents and people need it)"
        )?;
        writeln!(
            out,
            "its key                  {shown}/ca.key (keep a copy off this machine)"
        )?;
        writeln!(
            out,
            "admin {:18} {shown}/admin.pem and admin.key, for 365 days",
            self.admin
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn init_says_what_it_made_and_a_second_one_is_refused() {
        let folder = TempDir::new().unwrap();
        let init = Init {
            data: folder.path().join("deep/data"),
            names: vec!["10.0.0.1".into()],
            admin: Person::new("alice").unwrap(),
        };
        let mut out = Vec::new();
        init.run(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("deep/data/pki/ca.pem") && out.contains("admin alice"),
            "{out}"
        );
        assert!(init.data.join("pki/admin.key").exists());
        let error = init.run(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }
}
