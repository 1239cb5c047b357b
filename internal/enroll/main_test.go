package enroll_test

import (
	"testing"

	"certportal/internal/test/samba"
	"certportal/internal/test/testkit/fixture"
)

// domainControllers stops the controllers after the tests.
type domainControllers struct{ *testing.M }

func (d domainControllers) Run() int {
	defer samba.StopAll()
	return d.M.Run()
}

func TestMain(m *testing.M) { fixture.Main(domainControllers{m}) }
