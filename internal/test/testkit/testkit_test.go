package testkit_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

func TestClock(t *testing.T) {
	c := testkit.NewClock()
	testkit.Equal(t, "start", c.Now(), testkit.Noon)
	c.Advance(time.Hour)
	testkit.Equal(t, "an hour later", c.Now(), testkit.Noon.Add(time.Hour))
	c.Set(testkit.Noon)
	testkit.Equal(t, "set", c.Now(), testkit.Noon)
}

func TestRunningClock(t *testing.T) {
	c := testkit.NewRunningClock()
	first := c.Now()
	testkit.Eventually(t, "the clock moves", func() bool { return c.Now().After(first) })
	c.Set(testkit.Noon)
	c.Advance(time.Hour)
	if ahead := c.Now().Sub(testkit.Noon); ahead < time.Hour || ahead > time.Hour+time.Minute {
		t.Errorf("set and moved by an hour: %s ahead", ahead)
	}
}

func TestLog(t *testing.T) {
	l := testkit.NewLog(t)
	l.Logger().Debug("unseen")
	l.Logger().Info("seen", "error", errors.New("cause"))
	l.DebugLogger().Debug("detail")
	testkit.Equal(t, "lines", l.Lines(), 2)
	testkit.Equal(t, "records", l.Count("unseen"), 0)
	testkit.Contains(t, "log", l.Take(), "msg=seen error=cause")
	testkit.Equal(t, "log after it was taken", l.String(), "")
}
