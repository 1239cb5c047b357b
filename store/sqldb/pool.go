package sqldb

import (
	"context"
	"database/sql"
	"sync"
)

// pool is a set of connections that keeps prepared statements where the driver does
// not do so itself. Preparing costs SQLite more than running.
type pool struct {
	db       *sql.DB
	remember bool

	mu    sync.RWMutex
	known map[string]*sql.Stmt
}

func newPool(db *sql.DB, remember bool) *pool {
	return &pool{db: db, remember: remember, known: make(map[string]*sql.Stmt)}
}

func (p *pool) close() error { return p.db.Close() }

func (p *pool) statement(query string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[query]
}

// learn prepares statements for the next time. It must not be called inside a
// transaction: a pool of one connection would wait for itself. A statement that
// cannot be prepared is not kept; running it will give the reason.
func (p *pool) learn(ctx context.Context, queries ...string) {
	if !p.remember {
		return
	}
	for _, query := range queries {
		if p.statement(query) != nil {
			continue
		}
		prepared, err := p.db.PrepareContext(ctx, query)
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.known[query] == nil {
			p.known[query], prepared = prepared, nil
		}
		p.mu.Unlock()
		if prepared != nil {
			prepared.Close()
		}
	}
}

// query reads rows outside a transaction. Nothing but closing them may be done
// to the store while they are open.
func (p *pool) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.learn(ctx, query)
	if known := p.statement(query); known != nil {
		return known.QueryContext(ctx, args...)
	}
	return p.db.QueryContext(ctx, query, args...)
}

// row reads one row outside a transaction.
func (p *pool) row(ctx context.Context, query string, args ...any) *sql.Row {
	p.learn(ctx, query)
	if known := p.statement(query); known != nil {
		return known.QueryRowContext(ctx, args...)
	}
	return p.db.QueryRowContext(ctx, query, args...)
}
