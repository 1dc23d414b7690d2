//! What a user of the NAS has at home: SSH, SMB and NFS clients, run on the host against forwarded ports.

pub(crate) mod nfs;
pub(crate) mod smb;
pub(crate) mod ssh;
