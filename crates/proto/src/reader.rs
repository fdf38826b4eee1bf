//! A CBOR reader for what decoders are made of: items, the fields of a value, and the plain types.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;

/// Major types of CBOR.
pub(crate) const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

/// How deep a value that is left out may be nested.
const DEPTH: u8 = 16;

/// Bytes and how far they are read. After the first thing that is malformed every read fails and gives the
/// empty value of its type; whoever began looks once, at the end. Leaving at each field instead would drop
/// what was read before it there, and be half of the code.
#[derive(Debug)]
pub struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Something was malformed, at `at`.
    failed: bool,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at, failed: false }
    }

    /// Where it stands, and whether all went well.
    pub(crate) fn outcome(&self) -> (usize, bool) {
        (self.at, !self.failed)
    }

    #[inline(never)]
    pub(crate) fn fail(&mut self) {
        self.bytes = &[];
        self.failed = true;
    }

    /// The empty value of a type, for what is malformed.
    pub(crate) fn refuse<T: Wire>(&mut self) -> T {
        self.fail();
        T::read(self)
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                *byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    #[inline(never)]
    fn take(&mut self, len: u64) -> &'b [u8] {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += taken.len();
                taken
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    /// The major type of an item and its argument.
    #[inline(never)]
    fn head(&mut self) -> (u8, u64) {
        let byte = self.byte();
        let argument = match byte & 31 {
            small @ 0..=23 => u64::from(small),
            size @ 24..=27 => self.take(1 << (size - 24)).iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            _ => {
                self.fail();
                0
            }
        };
        (byte >> 5, argument)
    }

    /// The argument of an item that must be of a major type.
    #[inline(never)]
    pub(crate) fn expect(&mut self, major: u8) -> u64 {
        let (found, argument) = self.head();
        if found == major && !self.failed {
            return argument;
        }
        self.fail();
        0
    }

    #[inline(never)]
    pub(crate) fn text(&mut self) -> &'b str {
        let len = self.expect(TEXT);
        str::from_utf8(self.take(len)).unwrap_or_else(|_| {
            self.fail();
            ""
        })
    }

    pub(crate) fn bytes(&mut self) -> &'b [u8] {
        let len = self.expect(BYTES);
        self.take(len)
    }

    pub(crate) fn fields(&mut self) -> Fields {
        Fields { left: self.expect(ARRAY) }
    }

    /// Leaves out one item, whatever it is.
    fn skip(&mut self, depth: u8) {
        let Some(inner) = depth.checked_sub(1) else { return self.fail() };
        let (major, argument) = self.head();
        match major {
            BYTES | TEXT => {
                self.take(argument);
            }
            ARRAY => self.skip_all(argument, inner),
            MAP => {
                self.skip_all(argument, inner);
                self.skip_all(argument, inner);
            }
            TAG => self.skip(inner),
            _ => {}
        }
    }

    fn skip_all(&mut self, count: u64, depth: u8) {
        for _ in 0..count {
            if self.failed {
                return;
            }
            self.skip(depth);
        }
    }
}

/// The fields of one value, in order.
pub(crate) struct Fields {
    /// Those not read yet.
    left: u64,
}

impl Fields {
    pub(crate) fn next<T: Wire>(&mut self, reader: &mut Reader<'_>) -> T {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                T::read(reader)
            }
            None => T::absent(reader),
        }
    }

    #[inline(never)]
    pub(crate) fn close(self, reader: &mut Reader<'_>) {
        reader.skip_all(self.left, DEPTH);
    }
}

/// What can be read. Outside of this crate it is only a name: nobody else has a reader.
pub trait Wire: Sized {
    /// Takes one from the reader.
    fn read(reader: &mut Reader<'_>) -> Self;

    /// What stands for a field that is not there.
    fn absent(reader: &mut Reader<'_>) -> Self {
        reader.refuse()
    }
}

impl Wire for u64 {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.expect(UINT)
    }
}

impl Wire for u32 {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.expect(UINT).try_into().unwrap_or_else(|_| reader.refuse())
    }
}

impl Wire for u16 {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.expect(UINT).try_into().unwrap_or_else(|_| reader.refuse())
    }
}

impl Wire for bool {
    fn read(reader: &mut Reader<'_>) -> Self {
        let byte = reader.byte();
        if byte & !1 != FALSE {
            reader.fail();
        }
        byte == TRUE
    }
}

impl Wire for String {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.text().into()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self::new(T::read(reader))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Self {
        if reader.bytes.get(reader.at) == Some(&NULL) {
            reader.at += 1;
            return None;
        }
        Some(T::read(reader))
    }

    fn absent(_: &mut Reader<'_>) -> Self {
        None
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut items = Self::new();
        for _ in 0..reader.expect(ARRAY) {
            if reader.failed {
                break;
            }
            items.push(T::read(reader));
        }
        items
    }
}

impl Wire for [u8; 16] {
    fn read(reader: &mut Reader<'_>) -> Self {
        let len = reader.expect(BYTES);
        reader.take(len).try_into().unwrap_or_else(|_| {
            reader.fail();
            [0; 16]
        })
    }
}
