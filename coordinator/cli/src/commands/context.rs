//! `context show`, `set`, `use`.

use std::path::{Path, PathBuf};

use super::{Outcome, context_of};
use crate::{
    args::{ContextVerb, Global},
    console::Console,
    context::{self, Context, Contexts},
    error::Error,
    exit::Exit,
    line::{Line, Style},
};

pub(super) fn run(verb: ContextVerb, global: &Global, console: &mut Console) -> Outcome {
    let path = context::file(global.config.as_deref(), console.environment()).ok_or_else(|| {
        Error::usage("there is no HOME to look for .config/echelon/config.toml in: give --config or set ECHELON_CONFIG")
    })?;
    match verb {
        ContextVerb::Show => show(&path, global, console),
        ContextVerb::Set { name } => set(&path, &name, global.flags(), console),
        ContextVerb::Use { name } => choose(&path, &name, console),
    }
}

fn show(path: &Path, global: &Global, console: &mut Console) -> Outcome {
    let contexts = Contexts::read(path)?;
    console.line(&Line::new().plain(format!("file         {}", path.display())))?;
    for (name, context) in &contexts.contexts {
        let line = if contexts.current.as_ref() == Some(name) {
            Line::new().push(Style::Good, "✔ ").push(Style::Bold, name)
        } else {
            Line::new().push(Style::Dim, "• ").plain(name)
        };
        let address = context.coordinator.as_deref().unwrap_or("no coordinator");
        console.line(&line.plain(format!("  {address}")))?;
    }
    let used = context_of(global, console)?;
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    for (what, value) in [
        ("coordinator", used.coordinator.clone()),
        (
            "server name",
            Some(
                used.server_name
                    .clone()
                    .unwrap_or_else(|| crate::client::SERVER_NAME.into()),
            ),
        ),
        ("ca", file(&used.ca)),
        ("certificate", file(&used.certificate)),
        ("key", file(&used.key)),
    ] {
        let value = value.unwrap_or_else(|| "(not set)".into());
        console.line(&Line::new().plain(format!("{what:11}  {value}")))?;
    }
    Ok(Exit::Done)
}

fn set(path: &Path, name: &str, flags: Context, console: &mut Console) -> Outcome {
    if flags == Context::default() {
        return Err(
            Error::usage("nothing to set: give --coordinator, --ca, --cert, --key or --server-name").next(format!(
                "echelon context set {name} --coordinator URL --ca FILE --cert FILE --key FILE"
            )),
        );
    }
    let mut contexts = Contexts::read(path)?;
    let here = std::env::current_dir()?;
    let before = contexts.contexts.remove(name).unwrap_or_default();
    contexts
        .contexts
        .insert(name.to_owned(), flags.within(&here).or(before));
    contexts.current.get_or_insert_with(|| name.to_owned());
    contexts.write(path)?;
    said(console, &format!("context {name} is in {}", path.display()))
}

fn choose(path: &Path, name: &str, console: &mut Console) -> Outcome {
    let mut contexts = Contexts::read(path)?;
    contexts.choose(Some(name))?;
    contexts.current = Some(name.to_owned());
    contexts.write(path)?;
    said(console, &format!("context {name} is the current one"))
}

fn said(console: &mut Console, what: &str) -> Outcome {
    console.line(&Line::new().push(Style::Good, "✔ ").plain(what))?;
    Ok(Exit::Done)
}
