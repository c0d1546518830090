//! Who may ask what: one table, looked at before a request reaches any code of its own. What is not in the table is
//! denied, so an rpc that somebody forgets is an rpc that nobody can call (and a test finds it).

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::future::{Either, Ready, ready};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

use super::status;
use crate::{
    listen::ConnectInfo,
    pki::{Identity, Role},
};

/// The role that each rpc needs at least.
pub const TABLE: [(&str, Role); 34] = [
    ("CreateRelease", Role::Deployer),
    ("GetRelease", Role::Viewer),
    ("ListReleases", Role::Viewer),
    ("PushPlaybook", Role::Deployer),
    ("GetPlaybook", Role::Viewer),
    ("ListPlaybooks", Role::Viewer),
    ("CreatePlan", Role::Viewer),
    ("GetPlan", Role::Viewer),
    ("CreateRollout", Role::Deployer),
    ("GetRollout", Role::Viewer),
    ("ListRollouts", Role::Viewer),
    ("WatchRollout", Role::Viewer),
    ("ListRolloutEvents", Role::Viewer),
    ("ReadLogs", Role::Viewer),
    ("ExplainRollout", Role::Viewer),
    ("ExplainGate", Role::Viewer),
    ("TryGate", Role::Deployer),
    ("GetReport", Role::Viewer),
    ("ApproveRollout", Role::Approver),
    ("RejectRollout", Role::Approver),
    ("PauseRollout", Role::Deployer),
    ("ResumeRollout", Role::Deployer),
    ("PromoteRollout", Role::Deployer),
    ("RetryRollout", Role::Deployer),
    ("SkipRollout", Role::Deployer),
    ("AbortRollout", Role::Deployer),
    ("RollbackRollout", Role::Deployer),
    ("ListDrift", Role::Viewer),
    ("ListHosts", Role::Viewer),
    ("GetHost", Role::Viewer),
    ("ReadSamples", Role::Viewer),
    ("AskHost", Role::Deployer),
    ("LabelHost", Role::Admin),
    ("CreateJoinToken", Role::Admin),
];

/// Whether this peer may call this rpc.
///
/// # Errors
/// `UNAUTHENTICATED` without a certificate, else `PERMISSION_DENIED`, naming the role that is needed.
pub fn check(identity: Option<&Identity>, rpc: &str) -> Result<(), Status> {
    let denied = |text: String| Err(status::with_reason(Code::PermissionDenied, "PERMISSION_DENIED", &text));
    let (name, role) = match identity {
        Some(Identity::Person { name, role }) => (name, *role),
        Some(Identity::Host(host)) => {
            return denied(format!(
                "this certificate is the host {host}'s; people ask with their own"
            ));
        }
        None => return Err(Status::unauthenticated("no client certificate was shown")),
    };
    match TABLE.iter().find(|(known, _)| *known == rpc) {
        Some((_, needed)) if role.allows(*needed) => Ok(()),
        Some((_, needed)) => denied(format!("{name} has the role {role}; {rpc} needs the role {needed}")),
        None => denied(format!("{rpc} is not allowed to anybody")),
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub struct Guarded<S>(S);

impl<S> Guarded<S> {
    /// Puts a service behind the table.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<http::Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let rpc = request.uri().path().rsplit('/').next().unwrap_or_default();
        let identity = request
            .extensions()
            .get::<ConnectInfo>()
            .and_then(|info| info.identity.as_ref());
        match check(identity, rpc) {
            Ok(()) => Either::Right(self.0.call(request)),
            Err(denied) => Either::Left(ready(Ok(denied.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use echelon_proto::{HostId, Person, wire};
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn rpcs() -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
        let control = files
            .file
            .iter()
            .find(|file| file.package() == "echelon.control.v1")
            .unwrap();
        control
            .service
            .iter()
            .flat_map(|service| &service.method)
            .map(|method| method.name().to_owned())
            .collect()
    }

    fn person(role: Role) -> Identity {
        Identity::Person {
            name: Person::new("alice").unwrap(),
            role,
        }
    }

    #[test]
    fn every_rpc_is_in_the_table_once_and_nothing_else_is() {
        let table: BTreeSet<_> = TABLE.iter().map(|(rpc, _)| (*rpc).to_owned()).collect();
        assert_eq!(table.len(), TABLE.len());
        assert_eq!(table, rpcs());
    }

    #[test]
    fn every_role_may_call_what_it_may_and_nothing_else() {
        let approver = ["ApproveRollout", "RejectRollout"];
        let admin = ["CreateJoinToken", "LabelHost"];
        let is_read = |rpc: &str| {
            ["Get", "List", "Watch", "Read", "Explain"]
                .iter()
                .any(|verb| rpc.starts_with(verb))
        };
        for rpc in rpcs() {
            for role in [Role::Viewer, Role::Deployer, Role::Approver, Role::Admin] {
                let may = match role {
                    Role::Admin => true,
                    _ if is_read(&rpc) || rpc == "CreatePlan" => true,
                    Role::Viewer => false,
                    Role::Approver => approver.contains(&rpc.as_str()),
                    Role::Deployer => !approver.contains(&rpc.as_str()) && !admin.contains(&rpc.as_str()),
                };
                let answer = check(Some(&person(role)), &rpc);
                assert_eq!(answer.is_ok(), may, "{role} {rpc}");
                assert!(may || answer.unwrap_err().code() == Code::PermissionDenied);
            }
        }
    }

    #[test]
    fn hosts_strangers_and_unknown_rpcs_are_denied() {
        let host = Identity::Host(HostId::new("web-1").unwrap());
        for rpc in rpcs() {
            assert_eq!(check(Some(&host), &rpc).unwrap_err().code(), Code::PermissionDenied);
            assert_eq!(check(None, &rpc).unwrap_err().code(), Code::Unauthenticated);
        }
        let denied = check(Some(&person(Role::Admin)), "DropEverything").unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
}
