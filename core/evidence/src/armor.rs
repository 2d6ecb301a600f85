//! PEM, as OpenSSL writes it.

/// DER as text, with what it is.
pub(crate) fn pem(label: &str, der: Vec<u8>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}
