//! Compiles the protos without protoc, and keeps their descriptors for reflection.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PROTOS: [&str; 6] = [
        "failoverd/v1/types.proto",
        "failoverd/v1/status.proto",
        "failoverd/v1/control.proto",
        "failoverd/v1/peer.proto",
        "failoverd/v1/glass.proto",
        "failoverd/v1/fleet.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
