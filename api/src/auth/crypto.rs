//! The cryptography of tokens: ring, and nothing else of it.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{hmac, rand};

/// Signs and checks with HS256, RS256 and `EdDSA`.
///
/// An [`EncodingKey`] holds the secret or the private key as PKCS #8, a
/// [`DecodingKey`] the secret or what [`public`] makes.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has tokens signed and checked here from now on.
pub(super) fn install() {
    // A second time changes nothing: it is the same one.
    _ = PROVIDER.install_default();
}

/// The system has no random numbers to give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> std::result::Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The public key of a private one, PKCS #8, if it is a key of `algorithm` that is
/// long enough.
pub(super) fn public(algorithm: Algorithm, private: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let told = |error: ring::error::KeyRejected| error.to_string();
    match algorithm {
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private).map_err(told)?;
            Ok(pair.public_key().as_ref().to_vec())
        }
        _ => Ok(RsaKeyPair::from_pkcs8(private).map_err(told)?.public_key().as_ref().to_vec()),
    }
}

enum Private {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let bytes = key.as_bytes();
    let rejected = |_| ErrorKind::InvalidKeyFormat;
    Ok(Box::new(match algorithm {
        Algorithm::HS256 => Private::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        Algorithm::RS256 => {
            Private::Rsa(Box::new(RsaKeyPair::from_pkcs8(bytes).map_err(rejected)?))
        }
        Algorithm::EdDSA => {
            Private::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(rejected)?)
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    }))
}

impl Signer<Vec<u8>> for Private {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        match self {
            Private::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let random = rand::SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| Error::new())?;
                Ok(signature)
            }
            Private::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for Private {
    fn algorithm(&self) -> Algorithm {
        match self {
            Private::Secret(_) => Algorithm::HS256,
            Private::Rsa(_) => Algorithm::RS256,
            Private::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}

enum Public {
    Secret(hmac::Key),
    Key(UnparsedPublicKey<Vec<u8>>, Algorithm),
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let bytes = key.try_get_as_bytes()?;
    let public = |scheme: &'static dyn VerificationAlgorithm| {
        Public::Key(UnparsedPublicKey::new(scheme, bytes.to_vec()), *algorithm)
    };
    Ok(Box::new(match algorithm {
        Algorithm::HS256 => Public::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        Algorithm::RS256 => public(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::EdDSA => public(&ED25519),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    }))
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let checked = match self {
            Public::Secret(key) => hmac::verify(key, message, signature),
            Public::Key(key, _) => key.verify(message, signature),
        };
        checked.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        match self {
            Public::Secret(_) => Algorithm::HS256,
            Public::Key(_, algorithm) => *algorithm,
        }
    }
}
