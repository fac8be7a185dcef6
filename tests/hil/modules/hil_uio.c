// SPDX-License-Identifier: GPL-2.0
/* A UIO device with one page of registers, for the hardware bench: what an FPGA's register window is to a program.
 * The registers are memory, so that whatever is written reads back, unless a test says otherwise:
 *
 *   word      the register at byte 0, to be read and set from outside (u32, the processor's byte order)
 *   interrupt written: the device raises its interrupt; if that is switched off it waits until it is on again
 *
 * Removed while a program has it mapped, the page stays with the program, and nobody else sees it any more. It
 * cannot show a bus that stalls or answers with ones.
 */
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/spinlock.h>
#include <linux/uio_driver.h>

static struct platform_device *board;
static u32 *registers;

static int word_set(const char *text, const struct kernel_param *parameter)
{
    u32 word;
    int code = kstrtou32(text, 0, &word);

    if (code == 0 && registers)
        WRITE_ONCE(registers[0], word);
    return code;
}

static int word_get(char *text, const struct kernel_param *parameter)
{
    return sysfs_emit(text, "0x%08x\n", registers ? READ_ONCE(registers[0]) : 0);
}

static const struct kernel_param_ops word_ops = {.set = word_set, .get = word_get};
module_param_cb(word, &word_ops, NULL, 0644);

static struct uio_info window;
static DEFINE_SPINLOCK(line);
static bool enabled, pending;

/* An interrupt is told once, and is then off until the program switches it on. */
static void settle(bool on, bool raised)
{
    unsigned long flags;
    bool tell;

    spin_lock_irqsave(&line, flags);
    enabled = enabled || on;
    pending = pending || raised;
    tell = enabled && pending;
    if (tell)
        enabled = pending = false;
    spin_unlock_irqrestore(&line, flags);
    if (tell)
        uio_event_notify(&window);
}

static int window_irqcontrol(struct uio_info *info, s32 on)
{
    if (!on)
        return -EINVAL;
    settle(true, false);
    return 0;
}

static int interrupt_set(const char *text, const struct kernel_param *parameter)
{
    if (!board)
        return -ENODEV;
    settle(false, true);
    return 0;
}

static const struct kernel_param_ops interrupt_ops = {.set = interrupt_set};
module_param_cb(interrupt, &interrupt_ops, NULL, 0200);

static struct uio_info window = {
    .name = "hil-uio",
    .version = "1",
    .irq = UIO_IRQ_CUSTOM,
    .irqcontrol = window_irqcontrol,
};

static int hil_uio_probe(struct platform_device *device)
{
    window.mem[0].name = "registers";
    window.mem[0].addr = (phys_addr_t)registers;
    window.mem[0].size = PAGE_SIZE;
    window.mem[0].memtype = UIO_MEM_LOGICAL;
    return uio_register_device(&device->dev, &window);
}

static int hil_uio_remove(struct platform_device *device)
{
    uio_unregister_device(&window);
    return 0;
}

static struct platform_driver hil_uio_driver = {
    .probe = hil_uio_probe,
    .remove = hil_uio_remove,
    .driver = {.name = "hil-uio"},
};

static int __init hil_uio_init(void)
{
    int code;

    registers = (u32 *)get_zeroed_page(GFP_KERNEL);
    if (!registers)
        return -ENOMEM;
    code = platform_driver_register(&hil_uio_driver);
    if (code)
        goto free;
    board = platform_device_register_simple("hil-uio", PLATFORM_DEVID_NONE, NULL, 0);
    if (!IS_ERR(board))
        return 0;
    code = PTR_ERR(board);
    platform_driver_unregister(&hil_uio_driver);
free:
    free_page((unsigned long)registers);
    return code;
}

static void __exit hil_uio_exit(void)
{
    platform_device_unregister(board);
    platform_driver_unregister(&hil_uio_driver);
    free_page((unsigned long)registers);
}

module_init(hil_uio_init);
module_exit(hil_uio_exit);
MODULE_DESCRIPTION("UIO register window of the hardware bench");
MODULE_LICENSE("GPL");
