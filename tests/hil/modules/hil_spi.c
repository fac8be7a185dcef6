// SPDX-License-Identifier: GPL-2.0
/* An SPI controller with one converter on it, for the hardware bench: Debian's kernels have no controller that a
 * virtual machine could drive. The device's driver (spidev, or any of the kernel's) is the real one; only the wires
 * are missing.
 *
 *   value    what the converter answers: each word of 16 bits, the high byte first; a test changes it at any time
 *   answers  N: the device no longer answers, its transfers fail with EIO, as behind a bridge that was pulled out
 *   modalias which driver it gets: dh2228fv (spidev, as /dev/spidevB.0), adc128s052, ..
 *
 * It cannot show a clock, a chip select, or a word that was cut in two.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/spi/spi.h>

static ushort value;
module_param(value, ushort, 0644);
static bool answers = true;
module_param(answers, bool, 0644);
static char *modalias = "dh2228fv";
module_param(modalias, charp, 0444);

static struct platform_device *board;

static int hil_spi_transfer(struct spi_controller *controller, struct spi_device *device,
                            struct spi_transfer *transfer)
{
    ushort now = READ_ONCE(value);
    u8 *in = transfer->rx_buf;
    unsigned int i;

    if (!READ_ONCE(answers))
        return -EIO;
    for (i = 0; in && i < transfer->len; i++)
        in[i] = i % 2 ? now & 0xff : now >> 8;
    return 0;
}

static int hil_spi_probe(struct platform_device *device)
{
    struct spi_board_info info = {.max_speed_hz = 1000000, .chip_select = 0};
    struct spi_controller *controller = devm_spi_alloc_master(&device->dev, 0);
    int code;

    if (!controller)
        return -ENOMEM;
    controller->bus_num = -1;
    controller->num_chipselect = 1;
    controller->transfer_one = hil_spi_transfer;
    code = devm_spi_register_controller(&device->dev, controller);
    if (code)
        return code;
    strscpy(info.modalias, modalias, sizeof(info.modalias));
    return spi_new_device(controller, &info) ? 0 : -ENODEV;
}

static struct platform_driver hil_spi_driver = {
    .probe = hil_spi_probe,
    .driver = {.name = "hil-spi"},
};

static int __init hil_spi_init(void)
{
    int code = platform_driver_register(&hil_spi_driver);

    if (code)
        return code;
    board = platform_device_register_simple("hil-spi", PLATFORM_DEVID_NONE, NULL, 0);
    if (IS_ERR(board)) {
        platform_driver_unregister(&hil_spi_driver);
        return PTR_ERR(board);
    }
    return 0;
}

static void __exit hil_spi_exit(void)
{
    platform_device_unregister(board);
    platform_driver_unregister(&hil_spi_driver);
}

module_init(hil_spi_init);
module_exit(hil_spi_exit);
MODULE_DESCRIPTION("SPI controller and converter of the hardware bench");
MODULE_LICENSE("GPL");
