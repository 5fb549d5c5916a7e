//! Compiles `proto/api.proto` in Rust: nobody installs protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/api.proto");
    let descriptors = protox::compile(["api.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Labels and annotations in the same order in every answer and record.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
