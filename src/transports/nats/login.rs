//! Proving to a server who we are.
//!
//! A credentials file is read at each connection. What is wrong with it is
//! said in a sentence before the server is bothered.

use std::io::Read;
use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;

use super::settings::Secret;

/// The longest credentials file that is read, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 64 * 1024;

/// One way to log in, as configured.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Nobody,
    Password { user: String, password: Secret },
    Token(Secret),
    Nkey(Secret),
    Credentials(PathBuf),
}

/// A login with everything at hand to answer a server.
pub(super) enum Proof {
    Words(Box<Auth>),
    Signature { jwt: Option<String>, pair: Box<KeyPair> },
}

impl Login {
    /// Fetches what is needed; the error is a sentence for people.
    pub(super) fn proof(&self) -> Result<Proof, String> {
        let mut words = Auth::new();
        match self {
            Self::Nobody => {}
            Self::Password { user, password } => {
                words.username = Some(user.clone());
                words.password = Some(password.reveal().to_owned());
            }
            Self::Token(token) => words.token = Some(token.reveal().to_owned()),
            Self::Nkey(seed) => {
                let pair = KeyPair::from_seed(seed.reveal())
                    .map_err(|_| "the NKey seed is damaged: set it anew".to_owned())?;
                return Ok(Proof::Signature { jwt: None, pair: Box::new(pair) });
            }
            Self::Credentials(path) => return credentials(path),
        }
        Ok(Proof::Words(Box::new(words)))
    }

    /// What an operator should look at when the server refuses it.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Nobody => "it wants a login: set user and password, token, NKey or credentials",
            Self::Password { .. } => "check user and password",
            Self::Token(_) => "check the token",
            Self::Nkey(_) => "check that the server knows the public key of this NKey",
            Self::Credentials(_) => "check whether the credentials have expired or been revoked",
        }
    }
}

impl Proof {
    /// Answers the server's `nonce`.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        match self {
            Self::Words(words) => {
                let mut auth = Auth::new();
                auth.username.clone_from(&words.username);
                auth.password.clone_from(&words.password);
                auth.token.clone_from(&words.token);
                Ok(auth)
            }
            Self::Signature { jwt, pair } => {
                let mut auth = Auth::new();
                auth.signature = Some(pair.sign(nonce).map_err(AuthError::new)?);
                match jwt {
                    Some(jwt) => auth.jwt = Some(jwt.clone()),
                    None => auth.nkey = Some(pair.public_key()),
                }
                Ok(auth)
            }
        }
    }
}

fn credentials(path: &Path) -> Result<Proof, String> {
    let shown = path.display();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CREDENTIALS_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the credentials file {shown}: {error}"))?;
    let part = |name: &str| {
        decorated(&text, name).ok_or_else(|| {
            format!("the credentials file {shown} has no {name}: fetch it again from your operator")
        })
    };
    let jwt = part("NATS USER JWT")?.to_owned();
    let pair = KeyPair::from_seed(part("USER NKEY SEED")?).map_err(|_| {
        format!("the seed in the credentials file {shown} is damaged: fetch it again")
    })?;
    Ok(Proof::Signature { jwt: Some(jwt), pair: Box::new(pair) })
}

/// What stands between `-----BEGIN name-----` and the next line of dashes.
fn decorated<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| line.strip_prefix("-----BEGIN ").is_some_and(|rest| rest.starts_with(name)))?;
    let body = lines.find(|line| !line.is_empty())?;
    (!body.starts_with("---")).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Option<&str>, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user.creds");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let said = Login::Credentials(path).proof().err().expect("a fault");
        assert!(said.contains(expected), "{said:?} should say {expected:?}");
        assert!(said.contains("user.creds"), "{said:?} should name the file");
        assert!(!said.contains("SUHUSH"), "{said:?} should hide the seed");
    }

    #[test]
    fn a_bad_credentials_file_is_told_in_a_sentence() {
        check(None, "cannot read");
        check(Some(""), "has no NATS USER JWT");
        check(
            Some("-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n"),
            "has no NATS USER JWT",
        );
        check(
            Some("-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n"),
            "has no USER NKEY SEED",
        );
        check(
            Some(
                "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\nSUHUSH\n------END USER NKEY SEED------\n",
            ),
            "is damaged",
        );
    }

    #[test]
    fn an_nkey_signs_what_the_server_asks() {
        let pair = KeyPair::new_user();
        let login = Login::Nkey(Secret::new(pair.seed().unwrap()));
        let auth = login.proof().unwrap().answer(b"nonce").unwrap();
        assert_eq!(auth.nkey, Some(pair.public_key()));
        pair.verify(b"nonce", &auth.signature.unwrap()).unwrap();
    }
}
