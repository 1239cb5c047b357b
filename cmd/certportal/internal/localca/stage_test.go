//go:build unix

package localca

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"certportal/internal/durable"
	"certportal/internal/test/testkit"
)

// TestStageOfTwoCommands: a command whose folder another one takes for left over begins nothing.
func TestStageOfTwoCommands(t *testing.T) {
	data := t.TempDir()
	stage, release, err := newStage(data)
	testkit.NoError(t, err)
	const want = "another copy-from works in "
	_, err = lockStage(stage)
	testkit.Contains(t, "locked by another", fmt.Sprint(err), want+data)
	testkit.Equal(t, "the lock is named", errors.Is(err, durable.ErrLocked), true)
	testkit.NoError(t, removeStages(data))
	testkit.Equal(t, "in use", len(testkit.Must(durable.Named(data, stagePrefix))(t)), 1)
	testkit.NoError(t, release())

	testkit.NoError(t, testkit.Must(lockStage(stage))(t).Close())
	testkit.NoError(t, removeStages(data))
	testkit.Equal(t, "left over", len(testkit.Must(durable.Named(data, stagePrefix))(t)), 0)
	_, err = lockStage(stage)
	testkit.Contains(t, "removed by another", fmt.Sprint(err), want+data)
	_, err = os.Lstat(stage)
	testkit.Equal(t, "not made again", errors.Is(err, os.ErrNotExist), true)
}
