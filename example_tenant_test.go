package mqttx_test

import (
	"context"
	"database/sql"
	"log"
	"log/slog"
	"strings"

	"github.com/e8743928/mqttx"
)

type app struct{ db *sql.DB } // one for all connections: it needs its own locks

type device struct { // one for each connection: it needs none
	conn   *mqttx.Conn
	prefix string
	sent   int
}

func (a *app) connect(ctx context.Context, r *mqttx.ConnectRequest) (*device, error) {
	var tenant string
	err := a.db.QueryRowContext(ctx, `SELECT tenant FROM device WHERE name = ? AND token = ?`,
		r.Username, string(r.Password)).Scan(&tenant)
	if err != nil {
		return nil, &mqttx.Error{Code: mqttx.BadUserNameOrPassword, Err: err} // err is logged, not sent
	}
	r.Client.User = r.Username
	r.Client.Set("tenant", tenant) // for rules, logs, metrics, SessionExpired
	return &device{conn: r.Conn, prefix: tenant + "/"}, nil
}

func (a *app) publish(ctx context.Context, d *device, m *mqttx.Message) error {
	m.Topic = d.prefix + m.Topic // a will too
	d.sent++
	return nil
}

func (a *app) subscribe(ctx context.Context, d *device, s *mqttx.Subscription) error {
	s.Filter = d.prefix + s.Filter // $share/group is in s.Share
	return nil
}

func (a *app) deliver(d *device, m *mqttx.Message) *mqttx.Message {
	n := *m // shared by all receivers: change a copy
	n.Topic = strings.TrimPrefix(m.Topic, d.prefix)
	return &n
}

func (a *app) disconnected(ctx context.Context, d *device, why error) {
	_, err := a.db.ExecContext(ctx, `UPDATE device SET sent = sent + ? WHERE name = ?`, d.sent, d.conn.Client().User)
	if err != nil {
		log.Print(err)
	}
}

// Each client lives below a topic prefix that it does not see. One function serves SUBSCRIBE and UNSUBSCRIBE.
func ExampleCallbacks_tenant() {
	db, err := sql.Open("sqlite", "devices.db")
	if err != nil {
		log.Fatal(err)
	}
	a := &app{db}
	srv := mqttx.Server{Handler: mqttx.Callbacks[*device]{
		Connect:      a.connect,
		Publish:      a.publish,
		Subscribe:    a.subscribe,
		Unsubscribe:  a.subscribe,
		Deliver:      a.deliver,
		Disconnected: a.disconnected,
	}}
	log.Fatal(srv.ListenAndServe(":1883"))
}

// Handlers are asked in turn. The second Connect runs only if the first let the client in, and sees whom it found; T may be
// any type.
func ExampleChain() {
	users := mqttx.Authenticate(func(ctx context.Context, r *mqttx.ConnectRequest) error {
		if r.Username == "" {
			return mqttx.BadUserNameOrPassword
		}
		return nil
	})
	audit := mqttx.Callbacks[*slog.Logger]{
		Connect: func(ctx context.Context, r *mqttx.ConnectRequest) (*slog.Logger, error) {
			return slog.With("client", r.Client.ID, "user", r.Client.User), nil // verified by users
		},
		Publish: func(ctx context.Context, l *slog.Logger, m *mqttx.Message) error {
			l.InfoContext(ctx, "publish", "topic", m.Topic, "bytes", len(m.Payload))
			return nil
		},
	}
	srv := mqttx.Server{Handler: mqttx.Chain(users, audit)}
	log.Fatal(srv.ListenAndServe(":1883"))
}
