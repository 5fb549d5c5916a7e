//! CRI's RuntimeService: each call is a method of [`Runtime`], by subject in the files below.

mod containers;
mod exec;
mod node;
mod sandboxes;
mod stats;

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub use self::containers::container_status;
pub use self::sandboxes::sandbox_status;
use crate::cri::runtime_service_server::RuntimeService;
use crate::cri::*;
use crate::server::{Runtime, internal};

/// The gRPC side of the runtime.
pub struct Service(pub Arc<Runtime>);

type Answer<T> = Result<Response<T>, Status>;

/// One line for each call: unwrap the request, wrap the answer. (The whole `impl` is made here,
/// because `async_trait` must see the methods and not a macro.)
///
/// What was begun is carried to its end though the kubelet goes away meanwhile: each call is a task
/// of its own. Only `exec_sync` ends with its caller, and the command with it.
macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl RuntimeService for Service {
            $(async fn $name(&self, request: Request<$request>) -> Answer<$response> {
                let runtime = Arc::clone(&self.0);
                let call = tokio::spawn(async move {
                    let started = std::time::Instant::now();
                    let answer = runtime.$name(request.into_inner()).await;
                    match &answer {
                        Ok(_) => tracing::debug!("{} took {:?}", stringify!($name), started.elapsed()),
                        Err(status) => tracing::debug!("{}: {}", stringify!($name), status.message()),
                    }
                    answer
                });
                call.await.map_err(internal)?.map(Response::new)
            })*

            async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
                self.0.exec_sync(request.into_inner()).await.map(Response::new)
            }

            type GetContainerEventsStream = ReceiverStream<Result<ContainerEventResponse, Status>>;

            async fn get_container_events(
                &self,
                _: Request<GetEventsRequest>,
            ) -> Answer<Self::GetContainerEventsStream> {
                Ok(Response::new(ReceiverStream::new(self.0.subscribe())))
            }
        }
    };
}

calls! {
    version(VersionRequest) -> VersionResponse;
    status(StatusRequest) -> StatusResponse;
    runtime_config(RuntimeConfigRequest) -> RuntimeConfigResponse;
    update_runtime_config(UpdateRuntimeConfigRequest) -> UpdateRuntimeConfigResponse;

    run_pod_sandbox(RunPodSandboxRequest) -> RunPodSandboxResponse;
    stop_pod_sandbox(StopPodSandboxRequest) -> StopPodSandboxResponse;
    remove_pod_sandbox(RemovePodSandboxRequest) -> RemovePodSandboxResponse;
    pod_sandbox_status(PodSandboxStatusRequest) -> PodSandboxStatusResponse;
    list_pod_sandbox(ListPodSandboxRequest) -> ListPodSandboxResponse;

    create_container(CreateContainerRequest) -> CreateContainerResponse;
    start_container(StartContainerRequest) -> StartContainerResponse;
    stop_container(StopContainerRequest) -> StopContainerResponse;
    remove_container(RemoveContainerRequest) -> RemoveContainerResponse;
    list_containers(ListContainersRequest) -> ListContainersResponse;
    container_status(ContainerStatusRequest) -> ContainerStatusResponse;
    update_container_resources(UpdateContainerResourcesRequest) -> UpdateContainerResourcesResponse;
    reopen_container_log(ReopenContainerLogRequest) -> ReopenContainerLogResponse;

    exec(ExecRequest) -> ExecResponse;
    attach(AttachRequest) -> AttachResponse;
    port_forward(PortForwardRequest) -> PortForwardResponse;

    container_stats(ContainerStatsRequest) -> ContainerStatsResponse;
    list_container_stats(ListContainerStatsRequest) -> ListContainerStatsResponse;
    pod_sandbox_stats(PodSandboxStatsRequest) -> PodSandboxStatsResponse;
    list_pod_sandbox_stats(ListPodSandboxStatsRequest) -> ListPodSandboxStatsResponse;
}
