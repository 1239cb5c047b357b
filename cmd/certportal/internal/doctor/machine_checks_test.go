package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

func TestDiskSpace(t *testing.T) {
	tests := []struct {
		name  string
		space Space
		err   error
		want  portal.FindingState
		words string
	}{
		{"half", Space{50 << 30, 100 << 30}, nil, portal.FindingOK, "50 percent of the disk are free, 50 GB"},
		{"ten percent", Space{10 << 30, 100 << 30}, nil, portal.FindingOK, "10 percent"},
		{"less", Space{99 << 20, 1000 << 20}, nil, portal.FindingWarning, "9 percent of the disk are free, 99 MB"},
		{"little of much", Space{12 << 30, 500 << 30}, nil, portal.FindingOK, "2 percent of the disk are free, 12 GB"},
		{"less of much", Space{9 << 30, 500 << 30}, nil, portal.FindingWarning, "1 percent"},
		{"almost nothing", Space{2<<30 - 1, 100 << 30}, nil, portal.FindingFailed, "soon nothing can be issued"},
		{"much of little", Space{40 << 20, 50 << 20}, nil, portal.FindingOK, "80 percent"},
		{"no limit", Space{}, nil, portal.FindingOK, "no limit"},
		{"a folder that is gone", Space{}, os.ErrNotExist, portal.FindingFailed, "not exist"},
		{"a system that does not say", Space{}, errors.ErrUnsupported, portal.FindingSkipped, "does not say"},
	}
	s := config.Defaults()
	s.Data = t.TempDir()
	for _, tt := range tests {
		d := New(Config{Settings: &s, Space: func(string) (Space, error) { return tt.space, tt.err }})
		got := d.checkDisk(t.Context())
		if len(got) != 1 || got[0].State != tt.want || !strings.Contains(got[0].Text, tt.words) {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	if got, err := spaceOf(s.Data); err != nil || got.Total == 0 || got.Free > got.Total {
		t.Errorf("this disk: got %+v, %v", got, err)
	}
	if _, err := spaceOf(filepath.Join(s.Data, "gone")); err == nil {
		t.Error("a folder that is gone has space")
	}
}
