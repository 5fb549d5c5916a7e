//! What the kubelet asks of the node as a whole.

use tonic::Status;

use crate::cri::*;
use crate::heart::cgroups::Hierarchies;
use crate::heart::network::Cidr;
use crate::network::enable_forwarding;
use crate::server::{Runtime, internal};

impl Runtime {
    pub async fn version(&self, _: VersionRequest) -> Result<VersionResponse, Status> {
        Ok(VersionResponse {
            version: "0.1.0".into(),
            runtime_name: "coracle".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: "v1".into(),
        })
    }

    pub async fn status(&self, request: StatusRequest) -> Result<StatusResponse, Status> {
        let condition = |kind: &str, problem: Option<(&str, String)>| RuntimeCondition {
            r#type: kind.into(),
            status: problem.is_none(),
            reason: problem.as_ref().map(|(reason, _)| (*reason).into()).unwrap_or_default(),
            message: problem.map(|(_, message)| message).unwrap_or_default(),
        };
        let network = self.network.load().err().map(|error| {
            let message = format!("Network plugin returns error: {error:#}");
            ("NetworkPluginNotReady", message)
        });
        let missing = self.trees.not_enforced();
        let limits = (!missing.is_empty()).then(|| {
            ("ControlGroupsNotWritable", format!("limits are not enforced: {}", missing.join(", ")))
        });
        let conditions = vec![
            condition("RuntimeReady", None),
            condition("NetworkReady", network),
            condition("LimitsEnforced", limits),
        ];
        let mut response = StatusResponse {
            status: Some(RuntimeStatus { conditions }),
            runtime_handlers: vec![RuntimeHandler {
                name: String::new(),
                features: Some(RuntimeHandlerFeatures::default()),
            }],
            features: Some(RuntimeFeatures { supplemental_groups_policy: true }),
            ..StatusResponse::default()
        };
        if request.verbose {
            let version = match &self.trees {
                Hierarchies::V2 { .. } => "v2",
                Hierarchies::V1 { .. } => "v1",
                Hierarchies::None => "none",
            };
            let config = serde_json::json!({
                "sandboxImage": self.args.sandbox_image,
                "root": self.args.root,
                "images": self.args.images,
                "cgroups": version,
                "userNamespace": self.in_user_namespace,
                "seccomp": false,
                "apparmor": false,
            });
            response.info.insert("config".into(), config.to_string());
        }
        Ok(response)
    }

    pub async fn runtime_config(&self, _: RuntimeConfigRequest) -> Result<RuntimeConfigResponse, Status> {
        let linux = LinuxRuntimeConfiguration { cgroup_driver: CgroupDriver::Cgroupfs.into() };
        Ok(RuntimeConfigResponse { linux: Some(linux) })
    }

    /// The node's pod CIDR: the runtime makes a network of it, and the node a router.
    pub async fn update_runtime_config(
        &self,
        request: UpdateRuntimeConfigRequest,
    ) -> Result<UpdateRuntimeConfigResponse, Status> {
        let config = request.runtime_config.and_then(|config| config.network_config).unwrap_or_default();
        // Dual-stack nodes list several; ours is IPv4.
        let cidr = config.pod_cidr.split(',').find_map(|cidr| cidr.trim().parse::<Cidr>().ok());
        if let Some(cidr) = cidr {
            self.network.write_template(cidr).map_err(internal)?;
            if let Err(error) = enable_forwarding() {
                tracing::warn!("{error:#}");
            }
        } else if !config.pod_cidr.is_empty() {
            return Err(Status::invalid_argument(format!("{:?} has no IPv4 network", config.pod_cidr)));
        }
        Ok(UpdateRuntimeConfigResponse {})
    }
}
