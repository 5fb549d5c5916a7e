//! Numbers of members and clusters, as etcd computes them: the same flags give the same numbers on
//! every member, without anybody asking anybody.

use sha1::{Digest, Sha1};

/// From the member's peer URLs, the cluster's token and, for a member that is added to a cluster that
/// runs, the time in seconds: the same machine may be removed and added again, as another member.
pub fn member_id(peer_urls: &[String], token: &str, added_at: Option<u64>) -> u64 {
    let mut urls = peer_urls.to_vec();
    urls.sort();
    let mut text = urls.concat() + token;
    if let Some(seconds) = added_at {
        text += &seconds.to_string();
    }
    first_eight(text.as_bytes())
}

/// From the first members.
pub fn cluster_id(mut members: Vec<u64>) -> u64 {
    members.sort_unstable();
    let bytes: Vec<u8> = members.iter().flat_map(|id| id.to_be_bytes()).collect();
    first_eight(&bytes)
}

/// 0 is nobody's number.
fn first_eight(bytes: &[u8]) -> u64 {
    let hash = Sha1::digest(bytes);
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(eight).max(1)
}
