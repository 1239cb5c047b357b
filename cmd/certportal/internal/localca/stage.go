package localca

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"certportal/internal/durable"
)

// stagePrefix begins the names of folders into which copies are unpacked.
const stagePrefix = ".certportal-ca-"

// newStage makes such a folder, which is locked until release.
func newStage(data string) (stage string, release func() error, err error) {
	if stage, err = os.MkdirTemp(data, stagePrefix+"*"); err != nil {
		return "", nil, err
	}
	f, err := lockStage(stage)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(stage))
	}
	return stage, f.Close, nil
}

// lockStage locks a folder that was just made, unless another command takes it for what a
// killed one left and removes it.
func lockStage(stage string) (*os.File, error) {
	f, err := os.Open(stage)
	if err == nil && errors.Is(durable.Lock(f), durable.ErrLocked) { // some file systems have no locks
		err = errors.Join(durable.ErrLocked, f.Close())
	}
	if err == nil {
		if _, err = os.Lstat(stage); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if errors.Is(err, durable.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("another copy-from works in %s: give this command again when it has ended: %w", filepath.Dir(stage), err)
	}
	return f, err
}

// removeStages removes what a killed command left: folders that no command has locked.
func removeStages(data string) error {
	left, err := durable.Named(data, stagePrefix)
	if err != nil {
		return err
	}
	for _, stage := range left {
		if err := removeStage(stage); err != nil {
			return fmt.Errorf("removing what an earlier copy-from left: %w", err)
		}
	}
	return nil
}

func removeStage(stage string) error {
	if info, err := os.Lstat(stage); err != nil || !info.IsDir() {
		return nil // a file that is being written has such a name too
	}
	f, err := os.Open(stage)
	if err != nil {
		return err
	}
	defer f.Close()
	if durable.Lock(f) != nil { // a command that runs has it
		return nil
	}
	return os.RemoveAll(stage)
}
