//! Gives a module fuel: a number that its host sets, that each call of a function and each turn of a loop burns by
//! one, and without which the module traps. Between two such points lies a bounded piece of code, so the fuel bounds
//! the time of a call, whatever its input does to it. What copies memory in one instruction counts as one.

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType};
use wasm_encoder::{Function, Instruction, Module, ValType};
use wasmparser::{FunctionBody, Parser};

/// The name under which the host finds the number.
const NAME: &str = "fuel";

/// The module with fuel, which is empty at first.
pub(crate) fn add(module: &[u8]) -> Result<Vec<u8>> {
    let mut pass = Pass { fuel: 0 };
    let mut out = Module::new();
    pass.parse_core_module(&mut out, Parser::new(0), module).map_err(|error| anyhow!("the module: {error}"))?;
    Ok(out.finish())
}

struct Pass {
    /// The index of the number: after all other globals. A module of ours imports none.
    fuel: u32,
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
        self.fuel = globals.len();
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
        exports.export(NAME, ExportKind::Global, self.fuel);
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
        let steps = [
            Instruction::GlobalGet(self.fuel),
            Instruction::I32Eqz,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
            Instruction::GlobalGet(self.fuel),
            Instruction::I32Const(-1),
            Instruction::I32Add,
            Instruction::GlobalSet(self.fuel),
        ];
        for step in &steps {
            function.instruction(step);
        }
    }
}
