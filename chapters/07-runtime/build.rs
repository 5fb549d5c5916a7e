//! Compiles `proto/api.proto` in Rust: nobody installs protoc.

/// Messages that the runtime also keeps on disk, as JSON that people can read.
const KEPT: [&str; 24] = [
    "PodSandboxMetadata",
    "PodSandboxConfig",
    "DNSConfig",
    "PortMapping",
    "LinuxPodSandboxConfig",
    "LinuxSandboxSecurityContext",
    "NamespaceOption",
    "UserNamespace",
    "IDMapping",
    "SELinuxOption",
    "Int64Value",
    "SecurityProfile",
    "LinuxContainerResources",
    "HugepageLimit",
    "ContainerConfig",
    "ContainerMetadata",
    "ImageSpec",
    "KeyValue",
    "Mount",
    "Device",
    "CDIDevice",
    "LinuxContainerConfig",
    "LinuxContainerSecurityContext",
    "Capability",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/api.proto");
    let descriptors = protox::compile(["api.proto"], ["proto"])?;
    // Labels and annotations in the same order in every answer and record.
    let mut builder = tonic_prost_build::configure().btree_map(".");
    for name in KEPT {
        let derive = "#[derive(serde::Serialize, serde::Deserialize)]";
        builder = builder.message_attribute(format!(".runtime.v1.{name}"), derive);
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
