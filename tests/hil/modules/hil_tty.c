// SPDX-License-Identifier: GPL-2.0
/* A serial port that is nothing but its carrier line, for the hardware bench: a clock's pulse per second comes in
 * on that line (DCD), and the kernel's pps_ldisc stamps it. The port is /dev/ttyHIL0.
 *
 *   carrier  0 or 1: the line; a write moves it, which is one edge
 *
 * No byte goes in or out. It cannot show the time between the wire and the interrupt.
 */
#include <linux/module.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/tty_ldisc.h>

static struct tty_driver *driver;
static struct tty_port port;
static bool carrier;

static int carrier_set(const char *text, const struct kernel_param *parameter)
{
    bool now;
    int code = kstrtobool(text, &now);
    struct tty_struct *tty;
    struct tty_ldisc *line;

    if (code || now == carrier)
        return code;
    carrier = now;
    tty = tty_port_tty_get(&port);
    if (!tty)
        return 0;
    line = tty_ldisc_ref(tty);
    if (line) {
        if (line->ops->dcd_change)
            line->ops->dcd_change(tty, now);
        tty_ldisc_deref(line);
    }
    tty_kref_put(tty);
    return 0;
}

static const struct kernel_param_ops carrier_ops = {.set = carrier_set, .get = param_get_bool};
module_param_cb(carrier, &carrier_ops, &carrier, 0644);

static int hil_tty_open(struct tty_struct *tty, struct file *file)
{
    return tty_port_open(&port, tty, file);
}

static void hil_tty_close(struct tty_struct *tty, struct file *file)
{
    tty_port_close(&port, tty, file);
}

/* Bytes are taken and lost, as by a line with nobody at the other end. */
static int hil_tty_write(struct tty_struct *tty, const unsigned char *bytes, int count)
{
    return count;
}

static unsigned int hil_tty_write_room(struct tty_struct *tty)
{
    return PAGE_SIZE;
}

static const struct tty_operations hil_tty_ops = {
    .open = hil_tty_open,
    .close = hil_tty_close,
    .write = hil_tty_write,
    .write_room = hil_tty_write_room,
};

static const struct tty_port_operations port_ops = {};

static int __init hil_tty_init(void)
{
    struct device *device;
    int code;

    driver = tty_alloc_driver(1, TTY_DRIVER_REAL_RAW | TTY_DRIVER_DYNAMIC_DEV);
    if (IS_ERR(driver))
        return PTR_ERR(driver);
    driver->driver_name = "hil_tty";
    driver->name = "ttyHIL";
    driver->type = TTY_DRIVER_TYPE_SERIAL;
    driver->subtype = SERIAL_TYPE_NORMAL;
    driver->init_termios = tty_std_termios;
    driver->init_termios.c_cflag |= CLOCAL;
    tty_set_operations(driver, &hil_tty_ops);
    tty_port_init(&port);
    port.ops = &port_ops;
    code = tty_register_driver(driver);
    if (code)
        goto put;
    device = tty_port_register_device(&port, driver, 0, NULL);
    if (!IS_ERR(device))
        return 0;
    code = PTR_ERR(device);
    tty_unregister_driver(driver);
put:
    tty_driver_kref_put(driver);
    tty_port_destroy(&port);
    return code;
}

static void __exit hil_tty_exit(void)
{
    tty_unregister_device(driver, 0);
    tty_unregister_driver(driver);
    tty_driver_kref_put(driver);
    tty_port_destroy(&port);
}

module_init(hil_tty_init);
module_exit(hil_tty_exit);
MODULE_DESCRIPTION("carrier line of the hardware bench");
MODULE_LICENSE("GPL");
