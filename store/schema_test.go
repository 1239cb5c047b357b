package store_test

import (
	"strings"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/store"
)

// Development versions before the first release reached the schema in ten steps.
// Both ways lead to the same tables, columns, types, defaults, constraints, indexes,
// triggers and first rows, so their databases are opened as they are.
func TestF18_TenStepsReachTheSameSchema(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			now := connect(t, engine.driver, engine.address(t))
			address := engine.empty(t)
			before := connect(t, engine.driver, address)
			testkit.Must(tenSteps(t, engine.dialect, before).Up(t.Context()))(t)
			// Opening applies the later steps, which are the same for both ways.
			opened(t, address)
			want := schemaOf(t, engine.dialect, before)
			sameLines(t, "the schema", schemaOf(t, engine.dialect, now), want)
			if len(want) < 300 {
				t.Errorf("the schema is described in %d lines only", len(want))
			}
		})
	}
}

// A database that stopped before the tenth step is left as it is.
func TestF18_RefusesOlderSchema(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			address := engine.empty(t)
			plain := connect(t, engine.driver, address)
			steps := tenSteps(t, engine.dialect, plain)
			testkit.Must(steps.UpTo(t.Context(), 9))(t)
			want := schemaOf(t, engine.dialect, plain)
			_, err := store.Open(t.Context(), store.Config{URL: address})
			wantError(t, "opening", err, store.ErrSchemaOlder)
			if !strings.Contains(err.Error(), "found version 9, the oldest that can be opened is 10") {
				t.Errorf("got error %q, want the versions in it", err)
			}
			sameLines(t, "the refused database", schemaOf(t, engine.dialect, plain), want)
			testkit.Equal(t, "version", testkit.Must(steps.GetDBVersion(t.Context()))(t), 9)
		})
	}
}

func sameLines(t testing.TB, what string, got, want []string) {
	t.Helper()
	for _, line := range missingFrom(got, want) {
		t.Errorf("%s lacks: %s", what, line)
	}
	for _, line := range missingFrom(want, got) {
		t.Errorf("%s has besides: %s", what, line)
	}
}

// missingFrom gives the lines that a list has more often than the other.
func missingFrom(list, other []string) []string {
	count := make(map[string]int)
	for _, line := range list {
		count[line]++
	}
	var missing []string
	for _, line := range other {
		if count[line]--; count[line] < 0 {
			missing = append(missing, line)
		}
	}
	return missing
}
