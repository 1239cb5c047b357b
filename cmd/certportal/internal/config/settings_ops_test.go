package config

import (
	"strings"
	"testing"
)

func TestStopDelay(t *testing.T) {
	for _, text := range []string{"stop_delay: -1s", "stop_delay: 11s"} {
		if _, err := load(t, text, nil); err == nil || !strings.Contains(err.Error(), "stop_delay") {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if s, err := load(t, "stop_delay: 0s", nil); err != nil || s.StopDelay != 0 {
		t.Errorf("got %s, %v", s.StopDelay, err)
	}
}
