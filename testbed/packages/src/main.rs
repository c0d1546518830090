//! `cargo packages`: builds agent, coordinator and command, and packs them. Deliberately nothing else.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum as _};
use echelon_packages::{
    Built, Format,
    product::{Product, repository},
};

/// Makes the packages of agent, coordinator and command
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Only this one; may be given again
    #[arg(long, value_enum, value_name = "WHAT")]
    only: Vec<Product>,
    /// Only this kind; may be given again
    #[arg(long, value_enum, value_name = "KIND")]
    format: Vec<Format>,
    /// Cargo's profile
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Pack what was built before
    #[arg(long)]
    no_build: bool,
    /// Where the packages go [default: `packages` in cargo's target folder]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let built = Built {
        target: std::path::absolute(target)?,
        profile: arguments.profile,
    };
    let all = |wanted: Vec<Product>| {
        if wanted.is_empty() {
            Product::value_variants().to_vec()
        } else {
            wanted
        }
    };
    let products = all(arguments.only);
    if !arguments.no_build {
        build(&built, &products)?;
    }
    let formats = if arguments.format.is_empty() {
        Format::value_variants().to_vec()
    } else {
        arguments.format
    };
    let out = arguments.out.unwrap_or_else(|| built.target.join("packages"));
    for product in products {
        for format in formats.iter().filter(|format| format.is_of(product)) {
            let file = built.pack(product, *format, &out)?;
            writeln!(io::stdout(), "{}", file.display())?;
        }
    }
    Ok(())
}

fn build(built: &Built, products: &[Product]) -> anyhow::Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repository())
        .args(["build", "--locked", "--bins", "--profile", &built.profile]);
    cargo.arg("--target-dir").arg(&built.target);
    for product in products {
        cargo.args(["--package", product.name()]);
    }
    let status = cargo.status().context("cargo cannot be started")?;
    if !status.success() {
        bail!("the programs do not build; cargo has said why");
    }
    Ok(())
}
