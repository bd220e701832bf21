//! The kinds of violation as numbers, which `lib/violation.js` turns into ws's errors.

use ropeway_proto::Violation;

/// The largest length that JavaScript can count exactly, which is ws's limit too.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// The number of a violation, and its value: an opcode, a length or a close code, or 0.
pub(crate) fn number(violation: &Violation) -> (u32, u32) {
    match violation {
        Violation::ReservedBits => (1, 0),
        Violation::UnexpectedCompression => (2, 0),
        Violation::ReservedOpcode(opcode) | Violation::MessageUnfinished(opcode) => (3, u32::from(*opcode)),
        Violation::NothingToContinue => (3, 0),
        Violation::FragmentedControl => (4, 0),
        Violation::ControlTooLong(length) => (5, u32::from(*length)),
        Violation::ClosePayloadOfOneByte => (5, 1),
        Violation::MaskMissing => (6, 0),
        Violation::MaskUnexpected => (7, 0),
        Violation::InvalidCloseCode(code) => (8, u32::from(*code)),
        Violation::NotUtf8 | Violation::CloseReasonNotUtf8 => (9, 0),
        Violation::LengthTopBit => (10, 0),
        Violation::MessageTooBig(too_big) if too_big.announced.is_some_and(|length| length > MAX_SAFE) => (10, 0),
        Violation::MessageTooBig(_) => (11, 0),
        Violation::TooManyFragments(_) => (12, 0),
        Violation::CorruptDeflate => (13, 0),
        Violation::LengthNotMinimal => (14, 0),
        // The others belong to limits that are off here, or to later versions of the core.
        _ => (15, 0),
    }
}
