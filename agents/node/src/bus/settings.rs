//! What a connection to the broker is opened with.

use std::num::NonZeroU8;
use std::path::PathBuf;

use async_nats::ConnectOptions;

use super::names::NetworkName;

/// Where the broker is, who connects, and how its streams are kept.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// Address of the broker.
    pub url: String,
    /// The care network, on a broker that several share.
    pub network: Option<NetworkName>,
    /// Who connects.
    pub login: Login,
    /// Servers that keep each stream.
    pub replicas: NonZeroU8,
    /// Bytes that each stream may take on disk; no bound of its own when absent.
    pub stream_bytes_max: Option<u64>,
}

/// How a client shows the broker who it is.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// By a credentials file, as `nsc` writes it.
    Credentials(PathBuf),
    /// By name and the password in a file.
    Password {
        /// The name.
        user: String,
        /// File that holds the password.
        file: PathBuf,
    },
}

impl BusSettings {
    /// A broker of one network that lets anybody in.
    pub fn open(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            network: None,
            login: Login::None,
            replicas: NonZeroU8::MIN,
            stream_bytes_max: None,
        }
    }
}

impl Login {
    /// Adds the login to a connection's options; the error names the file.
    pub(super) async fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, (PathBuf, std::io::Error)> {
        match self {
            Self::None => Ok(options),
            Self::Credentials(file) => options.credentials_file(file).await.map_err(|source| (file.clone(), source)),
            Self::Password { user, file } => {
                let password = tokio::fs::read_to_string(file).await.map_err(|source| (file.clone(), source))?;
                Ok(options.user_and_password(user.clone(), password.trim_end().to_owned()))
            }
        }
    }
}
