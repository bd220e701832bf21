//! Frames that wait to be written, as slices for one `writev`.
//!
//! Small frames are packed into one buffer. Large payloads are not copied. A ping or pong goes ahead of data frames
//! that have not started, never into a frame that has. An empty queue holds no memory, unless a [`Spare`] was lent to
//! it.
//!
//! ```text
//!   packed   [header payload header payload header|header payload ...]
//!   segments      Packed(n)                Shared(large payload)   the rest of `packed`
//!   control  [ping pong ...]
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::append::{append, append_masked};
use crate::frame::mask::Key;
use crate::frame::{Header, Opcode};
use crate::message::Payload;

/// Owned payloads of at least this size are not copied, but written from where they are. For smaller ones the copy
/// costs less than one more slice in a `writev`.
pub(super) const SHARE_FROM: usize = 8 * 1024;

/// The most unsent pongs that are kept. RFC 6455 section 5.5.3 lets an endpoint "elect to send a Pong frame for only
/// the most recently processed Ping frame". So each ping of an honest burst is answered, but not each ping of a flood.
const MAX_PONGS: u8 = 32;

/// Data bytes that wait, and lie together.
#[derive(Debug)]
enum Segment {
    /// The next bytes of `packed`, this many.
    Packed(usize),
    /// A payload written from where it is.
    Shared(Bytes),
}

/// The kind of the next bytes to write.
#[derive(Clone, Copy)]
enum Run {
    Control,
    /// This many bytes of data.
    Data(usize),
}

/// The frames that wait to be written. An empty queue is one word.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// `None` if nothing waits and no memory is lent.
    waiting: Option<Box<Waiting>>,
}

/// Memory for outgoing frames, lent to a connection while it has work to do.
///
/// A connection at rest holds no memory. If it is lent a spare when it wakes, it need not allocate either. A driver
/// keeps one spare a thread.
#[derive(Debug, Default)]
pub struct Spare {
    waiting: Option<Box<Waiting>>,
}

/// The most memory that a spare keeps. A larger buffer was needed for an exceptional burst, and is freed.
const MAX_SPARE: usize = 256 * 1024;

impl Queue {
    /// The bytes that wait, headers included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Queues a data frame, masked if its header has a key. Also queues close frames, as no data follows them.
    #[expect(
        clippy::inline_always,
        reason = "else header and payload are copied twice: 10 % of a small message's instructions"
    )]
    #[inline(always)]
    pub(crate) fn push_data(&mut self, header: Header, payload: Payload<'_>) {
        self.waiting.get_or_insert_default().push_data(header, payload);
    }

    /// Queues the bytes of a data frame.
    pub(crate) fn push_frame(&mut self, frame: &[u8]) {
        self.waiting.get_or_insert_default().push_frame(frame);
    }

    /// Queues a ping or a pong. If [`MAX_PONGS`] pongs wait, a pong replaces the newest of them.
    pub(crate) fn push_control(&mut self, header: Header, payload: &[u8]) {
        self.waiting.get_or_insert_default().push_control(header, payload);
    }

    /// Fills `slices` with the next bytes to write, and returns how many slices it filled.
    #[inline]
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.slices(slices))
    }

    /// Removes the first `count` bytes, which were written.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "more was written than was given to write");
        let Some(waiting) = &mut self.waiting else { return };
        if count < waiting.len() {
            waiting.advance(count);
        } else if waiting.is_lent {
            waiting.clear();
        } else {
            self.waiting = None;
        }
    }

    /// Takes the spare's memory, unless the queue has memory already.
    #[inline]
    pub(crate) fn lend(&mut self, spare: &mut Spare) {
        if self.waiting.is_none() {
            let mut waiting = spare.waiting.take().unwrap_or_default();
            waiting.is_lent = true;
            self.waiting = Some(waiting);
        }
    }

    /// Returns lent memory to the spare. If the memory is in use, the queue keeps it.
    #[inline]
    pub(crate) fn reclaim(&mut self, spare: &mut Spare) {
        let Some(waiting) = &mut self.waiting else { return };
        if std::mem::take(&mut waiting.is_lent) && waiting.len() == 0 {
            spare.waiting = self.waiting.take().filter(|waiting| waiting.packed.capacity() <= MAX_SPARE);
        }
    }
}

/// The frames, packed.
#[derive(Debug, Default)]
struct Waiting {
    packed: Vec<u8>,
    /// The bytes of `packed` that are written.
    packed_written: usize,
    /// The bytes of `packed` that the segments cover. The bytes behind them are written after all segments.
    packed_covered: usize,
    segments: VecDeque<Segment>,
    /// The bytes of the first segment, a shared one, that are written.
    shared_written: usize,
    /// Unwritten bytes of all shared payloads.
    shared_left: usize,
    /// Unwritten bytes of the data frame that has started; 0 between frames.
    frame_left: usize,
    control: Vec<u8>,
    control_written: usize,
    /// Unsent pongs within `control`, and where the last one begins if nothing was queued behind it.
    pongs: u8,
    last_pong: Option<usize>,
    /// Whether the memory is lent by the driver, so that it is kept for the next frames once all is written.
    is_lent: bool,
}

impl Waiting {
    #[inline]
    fn len(&self) -> usize {
        self.data_len() + self.control.len() - self.control_written
    }

    #[inline]
    fn data_len(&self) -> usize {
        self.packed.len() - self.packed_written + self.shared_left
    }

    #[expect(clippy::inline_always, reason = "as the queue's")]
    #[inline(always)]
    fn push_data(&mut self, header: Header, payload: Payload<'_>) {
        if let Some(key) = header.mask {
            return push_masked(&mut self.packed, &header, &payload, key);
        }
        header.write(&mut self.packed);
        match payload {
            Payload::Owned(payload) if payload.len() >= SHARE_FROM => self.share(payload),
            payload => append(&mut self.packed, &payload),
        }
    }

    /// Queues a payload without copying it, behind all that is packed.
    #[inline(never)]
    fn share(&mut self, payload: Bytes) {
        self.segments.push_back(Segment::Packed(self.packed.len() - self.packed_covered));
        self.packed_covered = self.packed.len();
        self.shared_left += payload.len();
        self.segments.push_back(Segment::Shared(payload));
    }

    fn push_frame(&mut self, frame: &[u8]) {
        append(&mut self.packed, frame);
    }

    fn push_control(&mut self, header: Header, payload: &[u8]) {
        if header.opcode == Opcode::Pong {
            match self.last_pong {
                Some(at) if self.pongs >= MAX_PONGS && at >= self.control_written => self.control.truncate(at),
                _ => self.pongs = self.pongs.saturating_add(1),
            }
            self.last_pong = Some(self.control.len());
        } else {
            self.last_pong = None;
        }
        if let Some(key) = header.mask {
            return push_masked(&mut self.control, &header, payload, key);
        }
        header.write(&mut self.control);
        self.control.extend_from_slice(payload);
    }

    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.control.is_empty()
            && self.segments.is_empty()
            && let Some(slice) = slices.first_mut()
        {
            // The common case: only small messages wait.
            *slice = IoSlice::new(&self.packed[self.packed_written..]);
            return usize::from(self.packed_written < self.packed.len());
        }
        let mut filled = Filled { slices, count: 0 };
        let mut data = 0;
        for run in self.runs() {
            match run {
                Run::Control => filled.push(&self.control[self.control_written..]),
                Run::Data(length) => {
                    self.data_slices(data, length, &mut filled);
                    data += length;
                }
            }
        }
        filled.count
    }

    /// Removes the first `count` bytes, which are not all.
    fn advance(&mut self, mut count: usize) {
        for run in self.runs() {
            let length = match run {
                Run::Control => self.control.len() - self.control_written,
                Run::Data(length) => length,
            };
            let done = count.min(length);
            match run {
                Run::Control => self.advance_control(done),
                Run::Data(_) => self.advance_data(done),
            }
            count -= done;
        }
    }

    /// Forgets all but the memory.
    fn clear(&mut self) {
        self.packed.clear();
        self.segments.clear();
        self.control.clear();
        (self.packed_written, self.packed_covered) = (0, 0);
        (self.shared_written, self.shared_left, self.frame_left, self.control_written) = (0, 0, 0, 0);
        (self.pongs, self.last_pong) = (0, None);
    }

    /// Returns the order of writing: a frame that has started, then control frames, then data.
    fn runs(&self) -> [Run; 3] {
        // A control frame that has started comes before all else.
        let started = if self.control_written == 0 { self.frame_left } else { 0 };
        [Run::Data(started), Run::Control, Run::Data(self.data_len() - started)]
    }

    /// Adds the slices for `length` bytes of data that start `skip` bytes behind the ones that are written.
    fn data_slices<'a>(&'a self, mut skip: usize, mut length: usize, filled: &mut Filled<'_, 'a>) {
        let mut packed = self.packed_written;
        let mut shared = self.shared_written;
        for segment in self.segments.iter().map(Some).chain([None]) {
            if length == 0 {
                break;
            }
            let bytes = match segment {
                Some(Segment::Packed(size)) => {
                    packed += size;
                    &self.packed[packed - size..packed]
                }
                Some(Segment::Shared(payload)) => &payload[std::mem::take(&mut shared)..],
                None => &self.packed[self.packed_covered..],
            };
            let skipped = skip.min(bytes.len());
            let taken = length.min(bytes.len() - skipped);
            filled.push(&bytes[skipped..skipped + taken]);
            skip -= skipped;
            length -= taken;
        }
    }

    fn advance_control(&mut self, count: usize) {
        self.control_written += count;
        if self.control_written == self.control.len() {
            self.control.clear();
            self.control_written = 0;
            (self.pongs, self.last_pong) = (0, None);
        }
    }

    /// Removes data bytes, frame by frame. The header of each says where the frame ends, and so which frame has started
    /// then.
    fn advance_data(&mut self, mut count: usize) {
        while count > 0 {
            if self.frame_left == 0 {
                self.frame_left = Header::frame_length(&self.packed[self.packed_written..]);
            }
            let done = count.min(self.frame_left);
            self.frame_left -= done;
            count -= done;
            self.take_off(done);
        }
        self.reclaim_packed();
    }

    fn take_off(&mut self, mut count: usize) {
        while count > 0 {
            match self.segments.front_mut() {
                Some(Segment::Packed(size)) => {
                    let done = count.min(*size);
                    *size -= done;
                    count -= done;
                    self.packed_written += done;
                    if *size == 0 {
                        self.segments.pop_front();
                    }
                }
                Some(Segment::Shared(payload)) => {
                    let done = count.min(payload.len() - self.shared_written);
                    self.shared_written += done;
                    self.shared_left -= done;
                    count -= done;
                    if self.shared_written == payload.len() {
                        self.shared_written = 0;
                        self.segments.pop_front();
                    }
                }
                None => {
                    self.packed_written += count;
                    self.packed_covered = self.packed_written;
                    count = 0;
                }
            }
        }
    }

    /// Moves the rest of a slow reader's buffer to its beginning once most of it is written, so that it cannot grow
    /// without end.
    fn reclaim_packed(&mut self) {
        if self.packed_written > 64 * 1024 && self.packed_written > self.packed.len() / 2 {
            self.packed.drain(..self.packed_written);
            self.packed_covered -= self.packed_written;
            self.packed_written = 0;
        }
    }
}

/// The slices that are filled so far.
struct Filled<'s, 'a> {
    slices: &'s mut [IoSlice<'a>],
    count: usize,
}

impl<'a> Filled<'_, 'a> {
    fn push(&mut self, bytes: &'a [u8]) {
        if !bytes.is_empty()
            && let Some(slice) = self.slices.get_mut(self.count)
        {
            *slice = IoSlice::new(bytes);
            self.count += 1;
        }
    }
}

/// Appends a masked frame, as clients send them.
#[inline(never)]
fn push_masked(out: &mut Vec<u8>, header: &Header, payload: &[u8], key: Key) {
    header.write(out);
    append_masked(out, payload, key);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(opcode: Opcode, length: usize) -> Header {
        Header { fin: true, compressed: false, opcode, mask: None, length: length as u64 }
    }

    fn binary(queue: &mut Queue, payload: Vec<u8>) {
        queue.push_data(header(Opcode::Binary, payload.len()), Payload::Owned(payload.into()));
    }

    fn packed(queue: &Queue) -> &Vec<u8> {
        &queue.waiting.as_ref().expect("something waits, or memory is lent").packed
    }

    /// Writes `step` bytes at a time. `between` is called after the first write and may queue more.
    fn drain(queue: &mut Queue, step: usize, mut between: impl FnMut(&mut Queue)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut first = true;
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = queue.slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            assert!(!bytes.is_empty(), "a queue that is not empty has something to write");
            queue.advance(bytes.len());
            out.extend(bytes);
            if std::mem::take(&mut first) {
                between(queue);
            }
        }
        out
    }

    #[test]
    fn whatever_the_size_of_a_write_the_bytes_come_out_in_order() {
        let sizes = [0, 5, SHARE_FROM, 3, 70_000, SHARE_FROM - 1, SHARE_FROM + 1, 2];
        let fill = |queue: &mut Queue| {
            for (fill, size) in sizes.into_iter().enumerate() {
                binary(queue, vec![fill as u8; size]);
                let masked = Header { mask: Some([1, 2, 3, 4]), ..header(Opcode::Text, size) };
                queue.push_data(masked, Payload::Lent(&vec![fill as u8; size]));
            }
        };
        let mut whole = Queue::default();
        fill(&mut whole);
        let expected = drain(&mut whole, usize::MAX, |_| ());
        for step in [1, 2, 3, 7, 1_000, SHARE_FROM, 65_536] {
            let mut queue = Queue::default();
            fill(&mut queue);
            assert_eq!(queue.len(), expected.len());
            assert!(drain(&mut queue, step, |_| ()) == expected, "writes of {step} bytes");
        }
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut queue = Queue::default();
        binary(&mut queue, vec![1; 100]);
        binary(&mut queue, vec![1; 100_000]);
        queue.push_control(header(Opcode::Ping, 1), &[1]);
        drain(&mut queue, 1_000, |_| ());
        assert!(queue.waiting.is_none());
    }

    #[test]
    fn lent_memory_is_used_again_and_comes_back_unless_it_is_in_use() {
        let (mut queue, mut spare) = (Queue::default(), Spare::default());
        queue.lend(&mut spare);
        binary(&mut queue, vec![1; 100]);
        let memory = packed(&queue).as_ptr();
        drain(&mut queue, usize::MAX, |_| ());
        binary(&mut queue, vec![2; 50]);
        assert_eq!(packed(&queue).as_ptr(), memory, "the next frames use what the first ones did");

        queue.reclaim(&mut spare);
        assert!(spare.waiting.is_none(), "what waits is not taken away");
        drain(&mut queue, usize::MAX, |_| ());
        assert!(queue.waiting.is_none(), "and is the queue's own now, so it goes when all is written");

        queue.lend(&mut spare);
        binary(&mut queue, vec![1; 100]);
        drain(&mut queue, usize::MAX, |_| ());
        queue.reclaim(&mut spare);
        assert!(spare.waiting.is_some() && queue.waiting.is_none());
    }

    #[test]
    fn a_pong_overtakes_data_that_has_not_started_and_waits_for_a_frame_that_has() {
        for size in [10, SHARE_FROM] {
            let mut queue = Queue::default();
            binary(&mut queue, vec![1; size]);
            binary(&mut queue, vec![2; 4]);
            let out = drain(&mut queue, 3, |queue| queue.push_control(header(Opcode::Pong, 1), &[9]));
            let tail = &out[out.len() - 9..];
            assert_eq!(tail, [0x8a, 1, 9, 0x82, 4, 2, 2, 2, 2], "behind a frame of {size} bytes");
        }
    }

    #[test]
    fn a_control_frame_that_has_started_is_finished_first() {
        let mut queue = Queue::default();
        queue.push_control(header(Opcode::Ping, 4), &[7; 4]);
        let out = drain(&mut queue, 3, |queue| binary(queue, vec![1; 2]));
        assert_eq!(out, [0x89, 4, 7, 7, 7, 7, 0x82, 2, 1, 1]);
    }

    #[test]
    fn in_a_flood_of_pongs_a_new_one_replaces_the_newest() {
        let mut queue = Queue::default();
        for ping in 0..200 {
            queue.push_control(header(Opcode::Pong, 1), &[ping]);
        }
        let out = drain(&mut queue, usize::MAX, |_| ());
        assert_eq!(out.len(), 3 * usize::from(MAX_PONGS));
        assert_eq!(out.last(), Some(&199));
    }

    #[test]
    fn a_buffer_that_never_empties_does_not_grow_without_end() {
        let mut queue = Queue::default();
        binary(&mut queue, vec![0; 5_000]);
        for _ in 0..10_000 {
            binary(&mut queue, vec![0; 5_000]);
            queue.advance(5_004);
        }
        assert!(packed(&queue).capacity() < 1 << 20, "{}", packed(&queue).capacity());
    }
}
