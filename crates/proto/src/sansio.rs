#![doc = include_str!("../sansio.md")]
