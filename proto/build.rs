//! Compiles the `.proto` files without protoc and reads the error pages into a table.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;

const PROTOS: [&str; 6] = [
    "enterprisehub/money/v1/money.proto",
    "enterprisehub/user/v1/user.proto",
    "enterprisehub/auth/v1/auth.proto",
    "enterprisehub/order/v1/order.proto",
    "enterprisehub/payment/v1/payment.proto",
    "enterprisehub/notify/v1/notify.proto",
];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=errors");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is set by cargo")?);
    compile_protos(&out)?;
    write_error_table(&out)
}

fn compile_protos(out: &Path) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().out_dir(out).compile_fds(descriptors)?;
    Ok(())
}

/// Writes `errors.rs`: one `ErrorPage` per file under `errors/`, in the order of their codes.
fn write_error_table(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut pages: Vec<PathBuf> = fs::read_dir("errors")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    let mut table = String::from("&[\n");
    for path in &pages {
        write_page(&mut table, path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    table.push(']');
    fs::write(out.join("errors.rs"), table)?;
    Ok(())
}

fn write_page(table: &mut String, path: &Path) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let code = path.file_stem().and_then(|stem| stem.to_str()).ok_or("not a UTF-8 name")?;
    if text.lines().next() != Some(&format!("# {code}")) {
        return Err("the first line must be `# CODE`, equal to the file's name".into());
    }
    let status: u16 = field(&text, "status")?.parse()?;
    let absolute = fs::canonicalize(path)?;
    let absolute = absolute.to_str().ok_or("not a UTF-8 path")?;
    writeln!(
        table,
        "ErrorPage {{ code: {code:?}, title: {:?}, title_zh: {:?}, status: {status}, owner: {:?}, text: include_str!({:?}) }},",
        field(&text, "title")?,
        field(&text, "title_zh")?,
        field(&text, "owner")?,
        absolute,
    )?;
    for heading in ["## Cause", "## What to do", "## 原因", "## 处理办法"] {
        if !text.lines().any(|line| line == heading) {
            return Err(format!("the section `{heading}` is missing").into());
        }
    }
    Ok(())
}

fn field<'a>(text: &'a str, name: &str) -> Result<&'a str, String> {
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("- {name}: ")))
        .ok_or_else(|| format!("the line `- {name}: …` is missing"))
}
