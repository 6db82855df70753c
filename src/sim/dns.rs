//! Route 53 answers over real DNS.
