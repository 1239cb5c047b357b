//go:build linux || darwin || freebsd

package doctor

import (
	"fmt"
	"syscall"
)

// spaceOf asks the file system of a folder. Space that is kept for root does not count, as
// with df.
func spaceOf(folder string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return Space{}, fmt.Errorf("asking for free space: %w", err)
	}
	size, free := uint64(s.Bsize), uint64(s.Bavail)
	used := s.Blocks - uint64(s.Bfree)
	return Space{Free: free * size, Total: (used + free) * size}, nil
}
