//! The table of rows that both sides see: an `ArrayBuffer` of 32-bit words. Rust appends rows, JavaScript reads them
//! (`lib/table.js`), and takes them off again, like a stack: what JavaScript does with a row may append more.
#![allow(unsafe_code)]
// Only the descriptor lane uses some of these items, and that lane is built only on Linux.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

use std::ptr::NonNull;

/// The words before the first row.
const HEADER: u32 = 16;

/// The words of a row: connection; kind, source and slot; offset; length; value.
const ROW: u32 = 5;

/// The most rows: those of 64 KiB of empty messages, and some more. Pages that are never written to cost nothing.
const MOST: u32 = 34_000;

/// The bytes of the table.
pub(crate) const BYTES: usize = ((HEADER + ROW * MOST) * 4) as usize;

/// The words of the header.
#[derive(Clone, Copy)]
pub(crate) enum Word {
    /// The word behind the last row.
    Top = 0,
    /// The slab that is written to, as an index of the array of slabs.
    Slab = 1,
    /// The number of external buffers, of which the first is for [`Word::OutSlot`].
    Externals = 2,
    /// The slab in which bytes to be written lie, or [`EXTERNAL`].
    OutSlot = 3,
    /// Where they begin.
    OutOffset = 4,
    /// The first row that is not delivered yet, in a turn of the event loop.
    Cursor = 5,
    /// The word behind the turn's last row.
    End = 6,
    /// Whether a turn is under way: what is sent then is written at its end.
    Batch = 7,
    /// Whether lanes wait for `settle`.
    Restless = 8,
    /// Whether `feed` has left bytes because much was inflated.
    Sliced = 9,
    /// The number of slabs that are not freed.
    Slabs = 10,
    /// Whether payloads are copied out of slabs.
    Scarce = 11,
}

/// The value of [`Word::OutSlot`] for the first external buffer.
pub(crate) const EXTERNAL: u32 = u32::MAX;

/// The kind of a row. The numbers are those of `lib/table.js`.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text = 1,
    Binary = 2,
    Ping = 3,
    Pong = 4,
    Close = 5,
    Violation = 6,
    /// The peer has ended its half of the transport.
    End = 7,
    /// Reading failed, with an error number of the operating system as the value.
    Error = 8,
    /// Bytes that were read and are to be fed later, because much was inflated. It is the last row of its connection in a turn.
    Rest = 9,
}

/// Where a payload lies.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// In the chunk that was fed, from this offset on; or nowhere, if it is empty.
    Chunk(u32),
    /// In this slab, from this offset on.
    Slab(u32, u32),
    /// An external buffer of its own.
    External(u32),
}

/// A row to be appended.
pub(crate) struct Row {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) length: u32,
    /// A close code, or the number of a violation with its value in `length`.
    pub(crate) value: u32,
}

/// The table.
pub(crate) struct Rows {
    words: NonNull<u32>,
}

impl Rows {
    /// # Safety
    /// The memory has [`BYTES`] bytes, is aligned as an `ArrayBuffer` is, and lives as long as this.
    pub(crate) unsafe fn new(memory: NonNull<u8>) -> Self {
        let rows = Self { words: memory.cast() };
        rows.set(Word::Top, HEADER);
        rows.set(Word::Externals, 1);
        rows
    }

    pub(crate) fn get(&self, word: Word) -> u32 {
        self.read(word as u32)
    }

    pub(crate) fn set(&self, word: Word, value: u32) {
        self.write(word as u32, value);
    }

    /// Whether JavaScript is reading no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.get(Word::Top) <= HEADER
    }

    /// How many more rows there is room for.
    pub(crate) fn left(&self) -> usize {
        ((HEADER + ROW * MOST).saturating_sub(self.get(Word::Top)) / ROW) as usize
    }

    /// How many more rows a turn may append before JavaScript is called. The other half of the table is for what handlers feed.
    pub(crate) fn left_to_turn(&self) -> usize {
        self.left().saturating_sub(MOST as usize / 2)
    }

    /// All rows are those of a turn, and none is delivered yet.
    pub(crate) fn begin_batch(&self) {
        self.set(Word::Cursor, HEADER);
        self.set(Word::End, self.get(Word::Top));
        self.set(Word::Batch, 1);
    }

    /// Appends a row, for which there must be [room](Self::left).
    pub(crate) fn push(&self, row: &Row) {
        let top = self.get(Word::Top);
        let (source, slot, offset) = match row.place {
            Place::Chunk(offset) => (0, 0, offset),
            Place::Slab(slot, offset) => (1, slot, offset),
            Place::External(index) => (2, 0, index),
        };
        let kind = row.kind as u32 | source << 8 | slot << 16;
        for (word, value) in (top..).zip([row.id, kind, offset, row.length, row.value]) {
            self.write(word, value);
        }
        self.set(Word::Top, top + ROW);
    }

    fn read(&self, word: u32) -> u32 {
        assert!(word < HEADER + ROW * MOST, "a word of the table");
        // SAFETY: the word is in the table, which `new` was promised. JavaScript does not run at the same time.
        unsafe { self.words.add(word as usize).read() }
    }

    fn write(&self, word: u32, value: u32) {
        assert!(word < HEADER + ROW * MOST, "a word of the table");
        // SAFETY: as in `read`.
        unsafe { self.words.add(word as usize).write(value) };
    }
}
