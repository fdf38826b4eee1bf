//! Gives a module fuel: a number that its host sets, that each call of a function and each turn of a loop burns by
//! one, and without which the module traps. Between two such points lies a bounded piece of code, so the fuel bounds
//! the time of a call, whatever its input does to it. What copies memory in one instruction counts as one.

use anyhow::{Result, anyhow, bail};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType};
use wasm_encoder::{Function, Instruction, Module, ValType};
use wasmparser::{FunctionBody, Parser, Payload};

/// The name under which the host finds the number.
const NAME: &str = "fuel";

/// The module with fuel, which is empty at first. It must have globals and exports of its own, as Rust's have, and
/// import none.
pub(crate) fn add(module: &[u8]) -> Result<Vec<u8>> {
    for payload in Parser::new(0).parse_all(module) {
        // An imported global would come before its own ones, and the fuel would be counted past another.
        if matches!(payload?, Payload::ImportSection(imports) if imports.count() > 0) {
            bail!("the module imports something, so that its globals may not be its own");
        }
    }
    let mut pass = Pass { fuel: None, exported: false };
    let mut out = Module::new();
    pass.parse_core_module(&mut out, Parser::new(0), module).map_err(|error| anyhow!("the module: {error}"))?;
    if !pass.exported {
        bail!("the module has no globals or no exports to add the fuel to");
    }
    Ok(out.finish())
}

struct Pass {
    /// The index of the number, after all other globals.
    fuel: Option<u32>,
    exported: bool,
}

type Outcome = Result<(), Error<std::convert::Infallible>>;

impl Reencode for Pass {
    type Error = std::convert::Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Outcome {
        utils::parse_global_section(self, globals, section)?;
        self.fuel = Some(globals.len());
        let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(kind, &ConstExpr::i32_const(0));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        if let Some(fuel) = self.fuel {
            exports.export(NAME, ExportKind::Global, fuel);
            self.exported = true;
        }
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Outcome {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.burn(&mut function);
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let instruction = self.parse_instruction(&mut reader)?;
            let turns = matches!(instruction, Instruction::Loop(_));
            function.instruction(&instruction);
            if turns {
                self.burn(&mut function);
            }
        }
        code.function(&function);
        Ok(())
    }
}

impl Pass {
    /// Traps if there is no fuel, else takes one.
    fn burn(&self, function: &mut Function) {
        let Some(fuel) = self.fuel else { return };
        let steps = [
            Instruction::GlobalGet(fuel),
            Instruction::I32Eqz,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
            Instruction::GlobalGet(fuel),
            Instruction::I32Const(-1),
            Instruction::I32Add,
            Instruction::GlobalSet(fuel),
        ];
        for step in &steps {
            function.instruction(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{EntityType, FunctionSection, ImportSection, TypeSection};
    use wasmparser::{Operator, Validator};

    /// A module of one function, whose body is a loop in a loop.
    fn nested_loops(imports: &ImportSection) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut code = CodeSection::new();
        let mut function = Function::new([(1, ValType::I64)]);
        for step in [
            Instruction::Loop(BlockType::Empty),
            Instruction::Loop(BlockType::Empty),
            Instruction::Br(1),
            Instruction::End,
            Instruction::End,
            Instruction::End,
        ] {
            function.instruction(&step);
        }
        code.function(&function);
        let mut globals = GlobalSection::new();
        let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(kind, &ConstExpr::i32_const(7));
        let mut exports = ExportSection::new();
        exports.export("run", ExportKind::Func, 0);
        let mut module = Module::new();
        module.section(&types);
        if !imports.is_empty() {
            module.section(imports);
        }
        module.section(&functions).section(&globals).section(&exports).section(&code);
        module.finish()
    }

    /// How often a module's code burns: takes one from the global with this index.
    fn burns(module: &[u8], global: u32) -> Result<usize> {
        let mut found = 0;
        for payload in Parser::new(0).parse_all(module) {
            let Payload::CodeSectionEntry(body) = payload? else { continue };
            for operator in body.get_operators_reader()? {
                found +=
                    usize::from(matches!(operator?, Operator::GlobalSet { global_index } if global_index == global));
            }
        }
        Ok(found)
    }

    #[test]
    fn each_function_and_each_loop_burns_and_the_module_is_valid() -> Result<()> {
        let fuelled = add(&nested_loops(&ImportSection::new()))?;
        Validator::new().validate_all(&fuelled)?;
        assert_eq!(burns(&fuelled, 1)?, 3, "the function and its two loops");
        assert_eq!(burns(&fuelled, 0)?, 0, "another global is left alone");
        Ok(())
    }

    #[test]
    fn a_module_that_has_no_globals_to_begin_with_is_refused() {
        assert!(add(&Module::new().finish()).is_err());
    }

    /// Its globals would be counted from the first imported one.
    #[test]
    fn a_module_that_imports_is_refused() {
        let mut imports = ImportSection::new();
        let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        imports.import("env", "a", EntityType::Global(kind));
        let module = nested_loops(&imports);
        Validator::new().validate_all(&module).expect("it is a module");
        assert!(add(&module).expect_err("it is refused").to_string().contains("imports"));
    }
}
