//! permessage-deflate (RFC 7692): negotiation, compressing, inflating.
