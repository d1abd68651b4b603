//! The tree of a [`MemFs`](super::MemFs): [`Disk`], folders and files and what is durable of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::content::Content;
use crate::Choose;

/// The number of a file or folder; it stays the same when the name changes.
pub(super) type Inode = u64;

/// The folder that has no name.
const ROOT: Inode = 0;

/// A whole disk. A copy shares what does not change afterwards.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    inodes: BTreeMap<Inode, Arc<Node>>,
    next: Inode,
}

#[derive(Clone, Debug)]
enum Node {
    File(Content),
    Folder(Folder),
}

/// A folder as its users see it, and the changes that a crash may undo.
#[derive(Clone, Debug, Default)]
struct Folder {
    live: BTreeMap<OsString, Inode>,
    synced: BTreeMap<OsString, Inode>,
    /// What leads from `synced` to `live`, in order. A crash keeps any of them.
    pending: Vec<Change>,
}

/// A change of the names in a folder, which happens as a whole or not at all.
#[derive(Clone, Debug)]
enum Change {
    Link { name: OsString, inode: Inode },
    Unlink { name: OsString },
    Rename { from: OsString, to: OsString, inode: Inode },
}

impl Folder {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Whether a name, or a crash, may lead to this inode.
    fn leads_to(&self, wanted: Inode) -> bool {
        let pending = self.pending.iter().filter_map(Change::inode);
        self.live.values().chain(self.synced.values()).copied().chain(pending).any(|i| i == wanted)
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<OsString, Inode>) {
        match self {
            Change::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Change::Unlink { name } => {
                names.remove(name);
            }
            Change::Rename { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn inode(&self) -> Option<Inode> {
        match self {
            Change::Link { inode, .. } | Change::Rename { inode, .. } => Some(*inode),
            Change::Unlink { .. } => None,
        }
    }
}

impl Disk {
    /// An empty one.
    pub(super) fn new() -> Disk {
        let root = Arc::new(Node::Folder(Folder::default()));
        Disk { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    /// The bytes of all files that have a name or one of these handles.
    pub(super) fn used(&self, open: &BTreeMap<Inode, usize>) -> u64 {
        let named = self.folders().flat_map(|folder| folder.live.values());
        let inodes: BTreeSet<&Inode> = named.chain(open.keys()).collect();
        let files = inodes.into_iter().map(|inode| match self.inodes.get(inode).map(|n| &**n) {
            Some(Node::File(content)) => content.live.len(),
            _ => 0,
        });
        files.sum()
    }

    /// The content of a file, by number.
    pub(super) fn file(&self, inode: Inode) -> &Content {
        match self.inodes.get(&inode).map(|node| &**node) {
            Some(Node::File(content)) => content,
            _ => unreachable!("an open file keeps its inode"),
        }
    }

    /// The content of a file, by number, to be changed.
    pub(super) fn file_mut(&mut self, inode: Inode) -> &mut Content {
        match self.inodes.get_mut(&inode).map(Arc::make_mut) {
            Some(Node::File(content)) => content,
            _ => unreachable!("an open file keeps its inode"),
        }
    }

    /// The number of an existing file.
    pub(super) fn find_file(&self, path: &Path) -> io::Result<Inode> {
        let inode = self.find(path)?;
        match &*self.inodes[&inode] {
            Node::File(_) => Ok(inode),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Whether there is something of this name.
    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names in a folder.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let inode = self.find(path)?;
        Ok(self.folder(inode)?.live.keys().map(PathBuf::from).collect())
    }

    /// Makes a new, empty file.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<Inode> {
        let (parent, name) = self.find_parent(path)?;
        if self.folder(parent)?.live.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.add(parent, name, Node::File(Content::default()))
    }

    /// Makes a folder and its missing parents; the answer is whether there was one missing.
    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<bool> {
        let mut at = ROOT;
        let mut changed = false;
        for name in names(path)? {
            at = match self.folder(at)?.live.get(&name) {
                Some(inode) => *inode,
                None => {
                    changed = true;
                    self.add(at, name, Node::Folder(Folder::default()))?
                }
            };
        }
        self.folder(at)?;
        Ok(changed)
    }

    /// Removes the name of a file.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let (parent, name) = self.find_parent(path)?;
        self.folder_mut(parent)?.change(Change::Unlink { name });
        Ok(())
    }

    /// Renames. Between two folders it is two changes, of which a crash may keep either: POSIX
    /// lets it, and the one that relies on more is wrong somewhere.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let is_folder = self.folder(inode).is_ok();
        if let Ok(target) = self.find(to) {
            match self.folder(target) {
                _ if target == inode => return Ok(()),
                Ok(_) if !is_folder => return Err(io::ErrorKind::IsADirectory.into()),
                Err(_) if is_folder => return Err(io::ErrorKind::NotADirectory.into()),
                Ok(folder) if !folder.live.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        let (from_parent, from) = self.find_parent(from)?;
        let (to_parent, to) = self.find_parent(to)?;
        if from_parent == to_parent {
            self.folder_mut(from_parent)?.change(Change::Rename { from, to, inode });
        } else {
            self.folder_mut(to_parent)?.change(Change::Link { name: to, inode });
            self.folder_mut(from_parent)?.change(Change::Unlink { name: from });
        }
        Ok(())
    }

    /// Makes the names of a folder durable.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        let folder = self.folder_mut(inode)?;
        folder.synced = folder.live.clone();
        folder.pending.clear();
        Ok(())
    }

    /// Forgets files that neither a name nor one of these handles can lead to.
    pub(super) fn collect(&mut self, open: &BTreeMap<Inode, usize>) {
        let folders: Vec<&Folder> = self.folders().collect();
        let gone: Vec<Inode> = self
            .inodes
            .iter()
            .filter(|(inode, node)| {
                matches!(***node, Node::File(_))
                    && !open.contains_key(inode)
                    && !folders.iter().any(|folder| folder.leads_to(**inode))
            })
            .map(|(inode, _)| *inode)
            .collect();
        for inode in gone {
            self.inodes.remove(&inode);
        }
    }

    /// Whether a crash would change nothing.
    pub(super) fn is_durable(&self) -> bool {
        self.inodes.values().all(|node| match &**node {
            Node::File(content) => content.is_durable(),
            Node::Folder(folder) => folder.pending.is_empty(),
        })
    }

    /// The disk after a crash. Only what can still be reached is asked about, in a fixed order.
    pub(super) fn crash(&self, choose: &mut dyn Choose) -> Disk {
        let mut after = Disk { inodes: BTreeMap::new(), next: self.next };
        let mut left = vec![ROOT];
        let mut seen = BTreeSet::from([ROOT]);
        while let Some(inode) = left.pop() {
            let node = match &*self.inodes[&inode] {
                Node::File(content) => Node::File(content.crash(choose)),
                Node::Folder(folder) => {
                    let mut names = folder.synced.clone();
                    for change in &folder.pending {
                        if choose.choose(2) == 1 {
                            change.apply(&mut names);
                        }
                    }
                    left.extend(names.values().copied().filter(|inode| seen.insert(*inode)));
                    Node::Folder(Folder { live: names.clone(), synced: names, pending: Vec::new() })
                }
            };
            after.inodes.insert(inode, Arc::new(node));
        }
        after
    }

    /// A number that is equal for disks with equal names and bytes.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (inode, node) in &self.inodes {
            inode.hash(&mut hasher);
            match &**node {
                Node::File(content) => content.live.hash(&mut hasher),
                Node::Folder(folder) => folder.live.hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.inodes.values().filter_map(|node| match &**node {
            Node::Folder(folder) => Some(folder),
            Node::File(_) => None,
        })
    }

    fn add(&mut self, parent: Inode, name: OsString, node: Node) -> io::Result<Inode> {
        let inode = self.next;
        self.folder_mut(parent)?.change(Change::Link { name, inode });
        self.inodes.insert(inode, Arc::new(node));
        self.next += 1;
        Ok(inode)
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut at = ROOT;
        for name in names(path)? {
            at = *self.folder(at)?.live.get(&name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn find_parent(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let mut names = names(path)?;
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(&names.iter().collect::<PathBuf>())?;
        self.folder(parent)?;
        Ok((parent, name))
    }

    fn folder(&self, inode: Inode) -> io::Result<&Folder> {
        match &*self.inodes[&inode] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn folder_mut(&mut self, inode: Inode) -> io::Result<&mut Folder> {
        match self.inodes.get_mut(&inode).map(Arc::make_mut) {
            Some(Node::Folder(folder)) => Ok(folder),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

/// The names on the way from the root; absolute and relative paths start there alike.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
    }
    Ok(names)
}
