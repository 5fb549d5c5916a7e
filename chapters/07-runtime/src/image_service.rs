//! CRI's ImageService over the node's image layout.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::cri::image_service_server::ImageService;
use crate::cri::*;
use crate::heart::reference::Reference;
use crate::images;
use crate::server::{Runtime, internal};
use crate::sys::now_ns;

pub struct Service(pub Arc<Runtime>);

fn spec(image: Option<ImageSpec>) -> String {
    image.unwrap_or_default().image
}

/// Images with several names are one image to CRI.
fn merge(images: Vec<images::Image>) -> Vec<Image> {
    let mut merged: Vec<Image> = Vec::new();
    for image in images {
        let (tag, digest) = (image.reference.to_string(), image.repo_digest());
        match merged.iter_mut().find(|known| known.id == image.id) {
            Some(known) => {
                known.repo_tags.push(tag);
                if !known.repo_digests.contains(&digest) {
                    known.repo_digests.push(digest);
                }
            }
            None => merged.push(convert(&image, vec![tag], vec![digest])),
        }
    }
    merged
}

fn convert(image: &images::Image, repo_tags: Vec<String>, repo_digests: Vec<String>) -> Image {
    let user = image.config.config.user.split(':').next().unwrap_or_default();
    let uid = user.parse().ok().map(|value| Int64Value { value });
    let username = if uid.is_none() { user.to_owned() } else { String::new() };
    Image {
        id: image.id.clone(),
        repo_tags,
        repo_digests,
        size: image.size(),
        uid,
        username,
        ..Image::default()
    }
}

#[tonic::async_trait]
impl ImageService for Service {
    async fn list_images(
        &self,
        request: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        let wanted = spec(request.into_inner().filter.and_then(|filter| filter.image));
        let mut images = merge(self.0.store.list().map_err(internal)?);
        if !wanted.is_empty() {
            let found = self.0.store.find(&wanted).map_err(internal)?;
            images.retain(|image| found.as_ref().is_some_and(|found| found.id == image.id));
        }
        Ok(Response::new(ListImagesResponse { images }))
    }

    async fn image_status(
        &self,
        request: Request<ImageStatusRequest>,
    ) -> Result<Response<ImageStatusResponse>, Status> {
        let request = request.into_inner();
        let found = self.0.store.find(&spec(request.image)).map_err(internal)?;
        let mut response = ImageStatusResponse::default();
        if let Some(found) = found {
            let all = self.0.store.list().map_err(internal)?;
            response.image = merge(all).into_iter().find(|image| image.id == found.id);
            if request.verbose {
                let detail = serde_json::json!({ "imageSpec": found.config });
                response.info.insert("info".into(), detail.to_string());
            }
        }
        Ok(Response::new(response))
    }

    /// There is no registry on a node: what the layout has is "pulled" by being unpacked, and
    /// what it lacks is not found until somebody imports it.
    async fn pull_image(
        &self,
        request: Request<PullImageRequest>,
    ) -> Result<Response<PullImageResponse>, Status> {
        let name = spec(request.into_inner().image);
        let reference =
            Reference::parse(&name).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let failed = |why: &str| format!("failed to pull and unpack image \"{reference}\": {why}");
        let found = self.0.store.find(&name).map_err(internal)?;
        let image = found.ok_or_else(|| Status::not_found(failed("not found")))?;
        if let Err(error) = self.0.unpacked(&image).await {
            return Err(Status::unknown(failed(&format!("{error:#}"))));
        }
        Ok(Response::new(PullImageResponse { image_ref: image.id }))
    }

    async fn remove_image(
        &self,
        request: Request<RemoveImageRequest>,
    ) -> Result<Response<RemoveImageResponse>, Status> {
        self.0.store.remove(&spec(request.into_inner().image)).map_err(internal)?;
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(
        &self,
        _: Request<ImageFsInfoRequest>,
    ) -> Result<Response<ImageFsInfoResponse>, Status> {
        let images = self.0.store.list().map_err(internal)?;
        let used = images.iter().map(images::Image::size).sum();
        let usage = FilesystemUsage {
            timestamp: now_ns(),
            fs_id: Some(FilesystemIdentifier {
                mountpoint: self.0.store.dir().to_string_lossy().into_owned(),
            }),
            used_bytes: Some(UInt64Value { value: used }),
            inodes_used: None,
        };
        Ok(Response::new(ImageFsInfoResponse {
            image_filesystems: vec![usage],
            container_filesystems: Vec::new(),
        }))
    }
}
