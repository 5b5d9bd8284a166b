//! `ehub certs`: an authority and a certificate for each service, in a folder.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::interrupted;
use crate::credentials::Credentials;
use crate::ui;

/// Pause between two looks for certificates that come near their end.
const LOOK: Duration = Duration::from_mins(1);

/// Options of `certs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; it is made if need be, and what is still good in it stays
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Stay, and issue new certificates whenever the present ones come near their end
    #[arg(long)]
    keep: bool,
    /// Make nothing; succeed if all certificates are there and none is near its end
    #[arg(long, conflicts_with = "keep")]
    check: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    if args.check {
        return Ok(check(&Credentials::at(&args.out)));
    }
    let credentials = Credentials::provide(&args.out)?;
    ui::line(&format!("Certificates for development are in {}", args.out.display()));
    if args.keep {
        keep(&credentials, interrupted()).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(credentials: &Credentials) -> ExitCode {
    if credentials.are_good() {
        return ExitCode::SUCCESS;
    }
    ui::error_line("certificates are missing or near their end");
    ExitCode::FAILURE
}

/// Renews until somebody wants this process to end. Running services take new files up.
async fn keep(
    credentials: &Credentials,
    stop: impl Future<Output = Result<&'static str>>,
) -> Result<()> {
    tokio::pin!(stop);
    loop {
        tokio::select! {
            name = &mut stop => return name.map(|_| ()),
            () = tokio::time::sleep(LOOK) => {
                if let Err(error) = credentials.renew_if_due() {
                    ui::error_line(&format!("the certificates are not renewed: {error:#}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::future::{pending, ready};

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("ehub-certs-command-{:032x}", rand::random::<u128>());
            Self(std::env::temp_dir().join(name))
        }

        fn credentials(&self) -> Credentials {
            Credentials::at(&self.0)
        }

        /// Runs the command with these options; says whether it succeeded.
        async fn run(&self, options: &[&str]) -> bool {
            let start = ["certs".as_ref(), "--out".as_ref(), self.0.as_os_str()];
            let options = options.iter().map(AsRef::as_ref);
            let line = Line::try_parse_from(start.into_iter().chain(options)).unwrap();
            // An exit code can be compared by what it shows only.
            format!("{:?}", run(&line.args).await.unwrap()) == format!("{:?}", ExitCode::SUCCESS)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_check_makes_nothing_and_says_whether_all_is_good() {
        let folder = Folder::new();
        assert!(!folder.run(&["--check"]).await);
        assert!(!folder.0.exists());
        assert!(folder.run(&[]).await);
        assert!(folder.run(&["--check"]).await);
        fs::remove_file(folder.credentials().certificate("order-service")).unwrap();
        assert!(!folder.run(&["--check"]).await);
        assert!(!folder.credentials().certificate("order-service").exists());
        assert!(folder.run(&[]).await && folder.run(&["--check"]).await);
    }

    #[test]
    fn nobody_checks_and_keeps() {
        let line = ["certs", "--out", "folder", "--check", "--keep"];
        assert!(Line::try_parse_from(line).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_certificates_renews_what_is_due_at_every_look() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let file = credentials.certificate("order-service");
        for _ in 0..2 {
            let before = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            let kept = keep(&credentials, pending());
            assert!(tokio::time::timeout(LOOK + LOOK / 2, kept).await.is_err());
            assert!(credentials.are_good());
            assert_ne!(fs::read(&file).unwrap(), before);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_tried_again_and_a_signal_ends_it_all() {
        let folder = Folder::new();
        let credentials = Credentials::provide(&folder.0).unwrap();
        let aside = folder.0.with_extension("aside");
        fs::rename(&folder.0, &aside).unwrap();
        let kept = keep(&credentials, pending());
        assert!(tokio::time::timeout(2 * LOOK + LOOK / 2, kept).await.is_err());
        fs::rename(&aside, &folder.0).unwrap();
        fs::remove_file(credentials.key("auth-service")).unwrap();
        let kept = keep(&credentials, pending());
        assert!(tokio::time::timeout(LOOK + LOOK / 2, kept).await.is_err());
        assert!(credentials.are_good());
        keep(&credentials, ready(Ok("SIGTERM"))).await.unwrap();
        let broken = keep(&credentials, ready(Err(anyhow::anyhow!("no signals"))));
        assert!(broken.await.is_err());
    }
}
