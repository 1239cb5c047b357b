//go:build unix

package config

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// account is the account this process runs as.
func account() int { return os.Geteuid() }

// ownerOf returns the owner of a file and whether the process is in its group. ok is
// false on systems without such owners.
func ownerOf(info fs.FileInfo) (owner int, inGroup, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false, false
	}
	groups, _ := os.Getgroups() // without them only the first group counts
	return int(stat.Uid), slices.Contains(append(groups, os.Getegid()), int(stat.Gid)), true
}
