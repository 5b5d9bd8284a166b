//! A private MariaDB, or MySQL where that is what the machine has.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::server::START_LIMIT;
use super::{Part, Server, Site, probe};
use crate::layout::Layout;
use crate::process::{Process, Spec, tail};
use crate::{address, random};

const USUAL_PORT: u16 = 23_306;
const APPARMOR_PROFILE: &str = "/etc/apparmor.d/usr.sbin.mysqld";
/// The kernel refuses longer paths of Unix sockets.
const LONGEST_SOCKET_PATH: usize = 100;

pub(super) fn find(layout: &Layout) -> Option<PathBuf> {
    layout.find_program("mariadbd").or_else(|| layout.find_program("mysqld"))
}

/// Starts an instance, creating its data on the first start, and waits until the administrator
/// can log in.
pub(super) async fn start(site: &Site, program: &Path) -> Result<Server> {
    let instance = Instance::new(site, program).await?;
    if !instance.data.exists() {
        instance.initialise().await.context("the data folder cannot be created")?;
    }
    let password = instance.password()?;
    let script = instance.write_init_file(&password)?;
    let mut process = Process::start(instance.spec(&script), &site.layout)?;
    let address = format!("mysql://root:{password}@127.0.0.1:{}", instance.port);
    let url = address::parse(&address, Part::MySql.schemes())?;
    process.ready(START_LIMIT, || probe::answers(Part::MySql, &url)).await?;
    Ok(Server { address, management: None, processes: vec![process] })
}

struct Instance<'a> {
    layout: &'a Layout,
    program: &'a Path,
    is_mariadb: bool,
    data: PathBuf,
    port: u16,
    /// The account to run under; `None` keeps the current one.
    account: Option<User>,
}

impl<'a> Instance<'a> {
    async fn new(site: &'a Site, program: &'a Path) -> Result<Self> {
        let version = Command::new(program).args(["--no-defaults", "--version"]).output().await?;
        let data = site.layout.data("mysql");
        let folder = data.parent().context("the data folder has no parent")?.to_path_buf();
        fs::create_dir_all(&folder)?;
        Ok(Self {
            layout: &site.layout,
            program,
            is_mariadb: String::from_utf8_lossy(&version.stdout).contains("MariaDB"),
            account: account_for(&folder)?,
            data,
            port: site.port(USUAL_PORT)?,
        })
    }

    /// Creates the data beside its place and moves it there when it is whole, so that an
    /// interrupted first start leaves nothing that looks like a database.
    async fn initialise(&self) -> Result<()> {
        let draft = self.data.with_extension("new");
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        fs::create_dir(&draft)?;
        self.give_to_account(&draft)?;
        let log = self.layout.log("mysql-install");
        fs::create_dir_all(log.with_file_name(""))?;
        let output = fs::File::create(&log)?;
        let status = self
            .install_command()
            .arg(format!("--datadir={}", draft.display()))
            .args(self.account_option())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .status()
            .await?;
        if !status.success() {
            let hint = self.confinement_hint();
            bail!("{status}{hint}\n{}", tail(&log, 20));
        }
        Ok(fs::rename(draft, &self.data)?)
    }

    /// Ubuntu's MySQL may write to its own folders only.
    fn confinement_hint(&self) -> String {
        if self.is_mariadb || !Path::new(APPARMOR_PROFILE).exists() {
            return String::new();
        }
        format!(
            "; AppArmor may confine it to /var/lib/mysql: install mariadb-server, or unload \
             {APPARMOR_PROFILE}"
        )
    }

    fn install_command(&self) -> Command {
        if !self.is_mariadb {
            let mut command = Command::new(self.program);
            command.args(["--no-defaults", "--initialize-insecure"]);
            return command;
        }
        let names = ["mariadb-install-db", "mysql_install_db"];
        let found = names.iter().find_map(|name| self.layout.find_program(name));
        let mut command = Command::new(found.unwrap_or_else(|| names[0].into()));
        command.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        command.arg("--skip-test-db");
        command
    }

    /// The administrator's password, made once and kept beside the data.
    fn password(&self) -> Result<String> {
        let file = self.data.with_extension("password");
        if let Ok(known) = fs::read_to_string(&file) {
            return Ok(known);
        }
        let password = random::token();
        write_private(&file, &password)?;
        Ok(password)
    }

    /// Statements that the server runs before it accepts connections: no moment exists in which
    /// the administrator has no password, and nothing depends on the kind of server.
    fn write_init_file(&self, password: &str) -> Result<PathBuf> {
        let file = self.data.with_extension("sql");
        let statements = format!(
            "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n\
             ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n"
        );
        write_private(&file, &statements)?;
        self.give_to_account(&file)?;
        Ok(file)
    }

    fn spec(&self, init_file: &Path) -> Spec {
        let data = self.data.display();
        let spec = Spec::new("mysql", self.program)
            .args(["--no-defaults".to_owned(), format!("--datadir={data}")])
            .args(self.account_option())
            .args([format!("--port={}", self.port), "--bind-address=127.0.0.1".to_owned()])
            .args([format!("--socket={}", self.socket().display())])
            .args([format!("--pid-file={data}/server.pid")])
            .args([format!("--init-file={}", init_file.display())])
            // A commit that was acknowledged survives a crash; the services' promises need it.
            .args(["--innodb-flush-log-at-trx-commit=1"])
            .args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin"])
            // Accounts are checked by address, without a name server.
            .args(["--skip-name-resolve", "--max-connections=500", "--default-time-zone=+00:00"])
            .ports([self.port]);
        // No replica reads the log, and the second protocol would open a second port.
        if self.is_mariadb { spec } else { spec.args(["--skip-log-bin", "--mysqlx=OFF"]) }
    }

    fn socket(&self) -> PathBuf {
        let usual = self.data.join("server.sock");
        if usual.as_os_str().len() <= LONGEST_SOCKET_PATH {
            usual
        } else {
            std::env::temp_dir().join(format!("ehub-mysql-{}.sock", self.port))
        }
    }

    fn account_option(&self) -> Vec<String> {
        self.account.iter().map(|user| format!("--user={}", user.name)).collect()
    }

    fn give_to_account(&self, path: &Path) -> Result<()> {
        let Some(user) = &self.account else {
            return Ok(());
        };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .with_context(|| format!("{} cannot be given to {}", path.display(), user.name))
    }
}

/// The server refuses to run as root unless told so by name. Its own account is the better choice
/// where it exists and can reach the data, which it cannot in a closed home folder.
fn account_for(folder: &Path) -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let own = User::from_name("mysql")?.filter(|_| is_reachable_by_others(folder));
    Ok(own.or(User::from_uid(Uid::from_raw(0))?))
}

fn is_reachable_by_others(folder: &Path) -> bool {
    folder.ancestors().all(|part| part.metadata().is_ok_and(|meta| meta.mode() & 0o001 != 0))
}

/// Writes a file that only its owner can read, also when it existed with wider rights.
fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let _ = fs::remove_file(file);
    let mut options = fs::File::options();
    let mut handle = options.write(true).create_new(true).mode(0o600).open(file)?;
    Ok(handle.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_folder_is_out_of_reach_for_others() {
        let folder = std::env::temp_dir().join(format!("ehub-closed-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_reachable_by_others(&folder.join("inner")));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!is_reachable_by_others(&folder.join("inner")));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let file = std::env::temp_dir().join(format!("ehub-private-{}", std::process::id()));
        fs::write(&file, "old").unwrap();
        write_private(&file, "secret").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap(), "secret");
        fs::remove_file(file).unwrap();
    }
}
