package seed

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"certportal/store/sqldb"
)

// bulk inserts many rows with few statements.
type bulk struct {
	t    *sqldb.Tx
	into string
	rows [][]any
}

func (b *bulk) add(row ...any) { b.rows = append(b.rows, row) }

// bulkRows is how many rows one statement carries: engines bound its parameters.
const bulkRows = 50

func (b *bulk) flush(ctx context.Context) error {
	for len(b.rows) > 0 {
		n := len(b.rows)
		if n > bulkRows {
			n = bulkRows
		} else if n < bulkRows {
			n = 1 // so that two statements are remembered and not fifty
		}
		var args []any
		lines := make([]string, n)
		for i, row := range b.rows[:n] {
			places := make([]string, len(row))
			for j, value := range row {
				args = append(args, value)
				places[j] = "$" + strconv.Itoa(len(args))
			}
			lines[i] = "(" + strings.Join(places, ", ") + ")"
		}
		if _, err := b.t.Exec(ctx, "INSERT INTO "+b.into+" VALUES "+strings.Join(lines, ", "), args...); err != nil {
			return fmt.Errorf("adding to %s: %w", b.into[:strings.Index(b.into, " ")], err)
		}
		b.rows = b.rows[n:]
	}
	return nil
}
