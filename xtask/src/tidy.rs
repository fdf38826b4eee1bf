//! What no compiler checks: every source file says what it is for, none is too long, rooms look only where they may, and
//! what runs in browsers asks its host for nothing.

use crate::{layers, typescript, wasm};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The longest a source file may be.
const MAX_LINES: usize = 800;

/// Checks and lists every finding.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    for dir in ["crates", "xtask"] {
        for file in sources(&root.join(dir))? {
            check_file(&file, &mut findings)?;
        }
    }
    layers::check(root, &mut findings)?;
    typescript::check(root, &mut findings)?;
    for (what, built) in
        [("the browser core", wasm::compile(root)?), ("the page's Markdown", wasm::compile_markdown(root)?)]
    {
        let module = std::fs::read(built)?;
        findings.extend(foreign_imports(&module)?.into_iter().map(|import| format!("{what} imports {import}")));
    }
    if findings.is_empty() {
        println!("tidy");
        return Ok(());
    }
    bail!("{}", findings.join("\n"))
}

fn sources(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

fn check_file(file: &Path, findings: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    if !text.starts_with("//!") {
        findings.push(format!("{}: does not open with `//!`", file.display()));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{}: {lines} lines, more than {MAX_LINES}", file.display()));
    }
    Ok(())
}

/// What the module imports, which has to be nothing: a clock, a random source or I/O would be an import.
fn foreign_imports(module: &[u8]) -> Result<Vec<String>> {
    let mut reader = Reader { bytes: module, at: 8 };
    while reader.at < module.len() {
        let (id, len) = (reader.byte()?, reader.number()?);
        if id == 2 {
            return imports(&mut reader);
        }
        reader.at += len;
    }
    Ok(Vec::new())
}

fn imports(reader: &mut Reader<'_>) -> Result<Vec<String>> {
    let mut foreign = Vec::new();
    for _ in 0..reader.number()? {
        let (module, name) = (reader.name()?, reader.name()?);
        foreign.push(format!("{module}.{name}"));
        if reader.byte()? != 0 {
            bail!("{module}.{name} is no function: the reader does not know its form");
        }
        reader.number()?;
    }
    Ok(foreign)
}

/// Reads just as much of the binary format as the import section needs.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8> {
        let byte = self.bytes.get(self.at).copied().context("the module ends early")?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<usize> {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    fn name(&mut self) -> Result<String> {
        let len = self.number()?;
        let bytes = self.bytes.get(self.at..self.at + len).context("the module ends early")?;
        self.at += len;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one function type and these function imports.
    fn module(imports: &[(&str, &str)]) -> Vec<u8> {
        let mut section = vec![u8::try_from(imports.len()).unwrap_or(0)];
        for (from, name) in imports {
            for text in [from, name] {
                section.push(u8::try_from(text.len()).unwrap_or(0));
                section.extend_from_slice(text.as_bytes());
            }
            section.extend_from_slice(&[0, 0]);
        }
        let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02".to_vec();
        bytes.push(u8::try_from(section.len()).unwrap_or(0));
        bytes.extend(section);
        bytes
    }

    #[test]
    fn a_clock_is_found() -> Result<()> {
        assert_eq!(foreign_imports(&module(&[("env", "now"), ("env", "random")]))?, ["env.now", "env.random"]);
        assert!(foreign_imports(&module(&[]))?.is_empty());
        Ok(())
    }
}
