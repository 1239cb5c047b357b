package setup

import (
	"os"
	"os/user"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// mayRead reports whether the account can read a file, by what the kernel says: owner, groups,
// modes of the folders on the way, access lists. It is the account's own answer when setup
// does not run as root.
func (s *Service) mayRead(file string) bool {
	answer := make(chan bool)
	go func() {
		// The thread takes the rights of the account and ends with this goroutine, because it
		// stays locked: no other goroutine runs with them.
		runtime.LockOSThread()
		if os.Geteuid() == 0 && !s.become() {
			answer <- true // what the kernel does not let setup ask is not held against the file
			return
		}
		f, err := os.Open(file)
		if err == nil {
			err = f.Close()
		}
		answer <- err == nil
	}()
	return <-answer
}

// become gives this thread the rights that the account has with files (setfsuid(2)). Those
// functions of package syscall that change all threads are not used.
func (s *Service) become() bool {
	if unix.Setgroups(s.groups()) != nil || unix.Setfsgid(s.GID) != nil || unix.Setfsuid(s.UID) != nil {
		return false
	}
	// The last two never return an error: a call that asks for nothing shows what is set.
	group, _ := unix.SetfsgidRetGid(-1)
	owner, _ := unix.SetfsuidRetUid(-1)
	return group == s.GID && owner == s.UID
}

// groups are those that the account has besides its own.
func (s *Service) groups() (list []int) {
	account, err := user.LookupId(strconv.Itoa(s.UID))
	if err != nil {
		return nil
	}
	ids, err := account.GroupIds()
	if err != nil {
		return nil
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			list = append(list, n)
		}
	}
	return list
}
