//! `tinykv cluster start`: runs some `tinykv-server` on free ports, says how to reach them, and
//! stops them in the end.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The most stores that are started.
const NODES_MAX: u16 = 9;

/// Start stores that replicate to each other, until ctrl-c
#[derive(clap::Args)]
pub(crate) struct Start {
    /// How many stores
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: u16,
    /// Where they keep their data, a folder for each; what is there already is used
    #[arg(long, default_value = "cluster", value_name = "DIR")]
    path: PathBuf,
    /// The first port; each store takes four from there on. 0 takes ports that are free
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
    /// The program; otherwise the one beside this program, or in PATH
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// More flags for each store, as in: -- --sync never
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// One store that runs.
struct Node {
    id: u16,
    child: Child,
    /// The line that it printed when it was ready.
    ready: String,
}

impl Start {
    /// Starts the stores, and waits for the end.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Caught from now on, so that none comes too early.
        let (mut interrupt, mut term) = runtime.block_on(async {
            Ok::<_, std::io::Error>((
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ))
        })?;
        let mut nodes = self.start()?;
        let text = describe(&nodes, &self.path)?;
        std::io::stdout().write_all(text.as_bytes())?;
        runtime.block_on(async {
            let mut look = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return,
                    _ = term.recv() => return,
                    _ = look.tick() => {}
                }
                nodes.retain_mut(|node| !node.has_ended());
                if nodes.is_empty() {
                    return;
                }
            }
        });
        nodes.retain_mut(|node| !node.has_ended());
        let failed = nodes.iter_mut().filter_map(|node| node.stop().err()).count();
        ensure!(failed == 0, "{failed} stores did not stop as they should");
        Ok(ExitCode::SUCCESS)
    }

    /// Starts all stores, and waits until each is ready.
    fn start(&self) -> anyhow::Result<Vec<Node>> {
        self.check_folder()?;
        let server = self.server()?;
        let ports = self.ports()?;
        let members: Vec<String> = (1..=self.nodes)
            .zip(&ports)
            .map(|(id, ports)| format!("{id}=127.0.0.1:{}", ports[0]))
            .collect();
        let mut nodes = Vec::new();
        for (id, ports) in (1..=self.nodes).zip(&ports) {
            let folder = self.path.join(format!("store-{id}"));
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let child = Command::new(&server)
                .arg(format!("--cluster={}", members.join(",")))
                .arg(format!("--store-id={id}"))
                .arg(format!("--addr=127.0.0.1:{}", ports[1]))
                .arg(format!("--resp-addr=127.0.0.1:{}", ports[2]))
                .arg(format!("--status-addr=127.0.0.1:{}", ports[3]))
                .arg(format!("--path={}", folder.join("data").display()))
                .arg(format!("--log-file={}", folder.join("log").display()))
                .args(&self.flags)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                // So that ctrl-c reaches this program only, which then stops them.
                .process_group(0)
                .spawn()
                .with_context(|| format!("cannot start {}", server.display()))?;
            nodes.push(Node { id, child, ready: String::new() });
        }
        for node in &mut nodes {
            node.wait_ready()?;
        }
        Ok(nodes)
    }

    /// Refuses a folder that was begun with another number of stores: more would stay outside, and
    /// fewer would wait for those that are not there.
    fn check_folder(&self) -> anyhow::Result<()> {
        let has_data = |id: &u16| self.path.join(format!("store-{id}/data/DISKS")).exists();
        let found = (1..=NODES_MAX).rev().find(has_data);
        ensure!(
            found.is_none_or(|stores| stores == self.nodes),
            "{} has the data of {} stores: start as many with --nodes, or take another --path",
            self.path.display(),
            found.unwrap_or_default()
        );
        Ok(())
    }

    /// The program to start.
    fn server(&self) -> anyhow::Result<PathBuf> {
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        let beside = std::env::current_exe()?.with_file_name("tinykv-server");
        Ok(if beside.exists() { beside } else { PathBuf::from("tinykv-server") })
    }

    /// Four ports for each store: for the others, native, RESP, status.
    fn ports(&self) -> anyhow::Result<Vec<[u16; 4]>> {
        if self.port != 0 {
            let last = u32::from(self.port) + 4 * u32::from(self.nodes) - 1;
            ensure!(last <= u16::MAX.into(), "there are not that many ports from {} on", self.port);
            let of = |node| [0, 1, 2, 3].map(|port| self.port + 4 * node + port);
            return Ok((0..self.nodes).map(of).collect());
        }
        // All at once, so that none is given out twice. Nothing but these stores should take one
        // of them before it is used; where something does, the store says so.
        let listeners = (0..4 * self.nodes)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<std::io::Result<Vec<_>>>()
            .context("there are no free ports")?;
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().map(|address| address.port()))
            .collect::<std::io::Result<_>>()?;
        Ok(ports.chunks_exact(4).map(|it| [it[0], it[1], it[2], it[3]]).collect())
    }
}

impl Node {
    /// Waits until the store can be reached.
    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let Some(output) = self.child.stdout.take() else { bail!("it was waited for before") };
        let (send, line) = mpsc::channel();
        // Reads on behind the line, so that the store never waits for a reader.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        match line.recv() {
            Ok(line) => self.ready = line,
            Err(_) => {
                let status = self.child.wait()?;
                bail!("store {} did not start ({status}); what it said is above", self.id);
            }
        }
        Ok(())
    }

    /// What the ready line says about a key.
    fn field(&self, key: &str) -> anyhow::Result<&str> {
        let mut words = self.ready.split(' ').filter_map(|word| word.split_once('='));
        let found = words.find(|(name, _)| *name == key);
        found.map(|(_, value)| value).with_context(|| format!("store {} names no {key}", self.id))
    }

    /// Whether it has ended by itself, which is said.
    fn has_ended(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                let text = format!("store {} has ended: {status}\n", self.id);
                let _ = std::io::stdout().write_all(text.as_bytes());
                true
            }
            _ => false,
        }
    }

    /// Has it stop, and waits for that.
    fn stop(&mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "store {} ended with {status}", self.id);
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the stores are reached, for people, and in the last line for programs.
fn describe(nodes: &[Node], path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let count = nodes.len();
    writeln!(
        text,
        "{count} stores replicate to each other; their data and logs are in {}.",
        path.display()
    )?;
    writeln!(text, "ctrl-c stops them.\n")?;
    writeln!(text, "store  pid      native                resp                  status")?;
    let all =
        |key: &str| nodes.iter().map(|node| node.field(key)).collect::<anyhow::Result<Vec<_>>>();
    let (native, resp, status) = (all("native")?, all("resp")?, all("status")?);
    for (place, node) in nodes.iter().enumerate() {
        let (id, pid) = (node.id, node.child.id());
        let (native, resp, status) = (native[place], resp[place], status[place]);
        writeln!(text, "{id:<6} {pid:<8} {native:<21} {resp:<21} http://{status}/status")?;
    }
    let native = native.join(",");
    let port = resp[0].rsplit(':').next().unwrap_or_default();
    writeln!(text, "\nEach takes reads and writes:\n")?;
    writeln!(text, "  redis-cli -p {port} set greeting hello")?;
    writeln!(text, "  tinykv --addr {native} get greeting")?;
    writeln!(text, "  tinykv --addr {native} admin stores\n")?;
    writeln!(text, "ready native={native} resp={} status={}", resp.join(","), status.join(","))?;
    Ok(text)
}
